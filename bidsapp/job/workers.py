"""Where the shuffles and voxel blocks of the group level are done: here, or by workers of a Dask cluster."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import parallel_config

from bidsapp.errors import EXIT_NO_INPUT, SettingsError
from bidsapp.job.environment import count_cpus
from bidsapp.settings.parts import Control

if TYPE_CHECKING:
    from distributed import Client
    from joblib.parallel import ParallelBackendBase

logger = logging.getLogger(__name__)
SECONDS_TO_CONNECT = 30
# A worker may have to wait in the queue of a scheduler.
SECONDS_TO_WAIT_FOR_WORKERS = 3600


@contextmanager
def group_workers(scheduler: str | None) -> Iterator[None]:
    """Let joblib's loops over shuffles and voxel blocks run on the cluster of ``--dask-scheduler``."""
    if not scheduler:
        yield
        return
    client = connect(scheduler)
    import dask

    with (
        client,
        # Data travel with the tasks, on purpose: what a dead worker held is sent again.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}),
        parallel_config(backend=_make_backend(client)),
    ):
        address = getattr(client.scheduler, "address", scheduler)
        logger.info("Dask cluster at %s: %d workers", address, len(client.ncores()))
        yield


def _make_backend(client: "Client") -> "ParallelBackendBase":
    """Return joblib's backend for Dask, which leaves the work to the workers also where one alone is left."""
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]  # joblib has no types
        def effective_n_jobs(self, n_jobs: int) -> int:
            # For one job joblib would do everything in this process.
            return max(2, int(super().effective_n_jobs(n_jobs)))

    return Backend(client=client, wait_for_workers_timeout=SECONDS_TO_WAIT_FOR_WORKERS)


def connect(scheduler: str) -> "Client":
    """Return a client of the scheduler at an address or described by a file.

    Raises
    ------
    SettingsError
        When Dask is not installed or nobody answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise SettingsError("--dask-scheduler needs Dask: pip install 'taskglm[dask]'.") from error
    place = {"address": scheduler}
    if "://" not in scheduler and not _is_address(scheduler):
        if not Path(scheduler).is_file():
            message = f"--dask-scheduler {scheduler}: no such file, and not an address like tcp://host:8786."
            raise SettingsError(message, exit_code=EXIT_NO_INPUT)
        place = {"scheduler_file": scheduler}
    try:
        return Client(**place, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise SettingsError(f"--dask-scheduler {scheduler}: no scheduler answers there ({error}).") from error


def threads_of_a_test(control: Control) -> int:
    """Return how many threads follow a batch: Dask's workers have one task a thread already."""
    return 1 if control.dask_scheduler else count_cpus(control.n_cpus)


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(host and colon and port.isdigit())
