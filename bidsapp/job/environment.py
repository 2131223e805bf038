"""What the job may use: processors, memory, and folders for temporary files."""

import fcntl
import hashlib
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from types import FrameType
from typing import NoReturn

from bidsapp.errors import EXIT_CANNOT_CREATE, InputError, Stopped
from bidsapp.outputs.files import make_folder

WORK_PREFIX = ".taskglm-work-"
LOCK = "lock"
# Where the system tells the control groups of the process, and their limits.
PROC, CGROUPS = Path("/proc/self"), Path("/sys/fs/cgroup")
# What schedulers, container engines and closed terminals end a job with, besides the interrupt by keyboard.
ENDING = (signal.SIGTERM, signal.SIGHUP)
# The image holds compiled kernels here (a folder a level of processors): they take seconds to make.
PREPARED_CACHES = Path(sys.prefix, "share", "taskglm", "caches")
# Elsewhere compiled kernels are kept for the user; those that were not used for so long are removed.
KERNELS = "kernels-"
# The parts that have kernels.
COMPILED = ("inference", "stats")
DAYS_TO_KEEP = 60
# Levels of the x86-64 psABI, the best first, by what /proc/cpuinfo calls their features.
LEVEL_3 = {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}
LEVELS = {
    "x86-64-v4": LEVEL_3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "x86-64-v3": LEVEL_3,
}
# Libraries would otherwise use every processor in every worker process.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def count_cpus(requested: int = 0) -> int:
    """Return how many processors to use: those asked for, else those that the job may use."""
    if requested > 0:
        return requested
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [
        int(os.environ[name]) for name in ("SLURM_CPUS_PER_TASK",) if os.environ.get(name, "").isdigit()
    ]
    quotas = _read_limits("cpu", ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
    limits += [quota // period for quota, period in quotas]
    return max(1, min([allowed, *limits]))


def find_memory_gb(requested: float = 0.0) -> float:
    """Return how much memory to stay below in GB: that asked for, else nine tenths of the job's."""
    if requested > 0:
        return requested
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if os.environ.get("SLURM_MEM_PER_NODE", "").isdigit():
        limits.append(int(os.environ["SLURM_MEM_PER_NODE"]) * 2**20)
    limits += [limit for (limit,) in _read_limits("memory", ("memory.max",), ("memory.limit_in_bytes",))]
    return 0.9 * min(limits) / 1e9


def _read_limits(controller: str, second: Sequence[str], first: Sequence[str]) -> list[list[int]]:
    """Return the limits of the job's own control group and of those above it, where there are any.

    Parameters
    ----------
    controller : str
    second, first : sequence of str
        The files that make a limit in version 2, where one tree has all controllers, and in version 1, where
        each has a tree of its own.
    """
    found = []
    for folder, names in _find_control_groups(controller, second, first):
        with suppress(OSError, ValueError):
            words = " ".join((folder / name).read_text() for name in names).split()
            limit = list(map(int, words))
            # No limit is "max" in version 2, and -1 in version 1.
            found += [limit] if min(limit) > 0 else []
    return found


def _find_control_groups(
    controller: str, second: Sequence[str], first: Sequence[str]
) -> Iterator[tuple[Path, Sequence[str]]]:
    """Yield the folders of the control groups that the process is in, and the files there."""
    try:
        lines = (PROC / "cgroup").read_text().splitlines()
    except OSError:
        return
    for _, controllers, inner in (line.split(":", 2) for line in lines):
        if controllers and controller not in controllers.split(","):
            continue
        root = CGROUPS / controller if controllers else CGROUPS
        place = PurePath(inner.lstrip("/"))
        # In a container the path may be that outside of it: then the root is the job's own group.
        for part in dict.fromkeys((place, *place.parents)):
            yield root / part, first if controllers else second


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Give a work folder in another, point all temporary files and caches to it, remove it at the end.

    Nothing outside the output and work folders is written, but outside the image the user's cache of
    compiled kernels: the root may be read-only, HOME unset. The end comes also by SIGTERM, which schedulers
    and container engines send before they kill.
    """
    is_new = not parent.exists()
    make_folder(parent)
    remove_abandoned(parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{WORK_PREFIX}{platform.node()}-", dir=parent))
    except OSError as error:
        message = (
            f"nothing can be written in {parent}: {error.strerror}. Choose another output or work folder."
        )
        raise InputError(message, exit_code=EXIT_CANNOT_CREATE) from error
    before = dict(os.environ)
    os.environ.update({"TMPDIR": str(folder), "JOBLIB_TEMP_FOLDER": str(folder)})
    _use_prepared_caches(folder)
    os.environ.setdefault("NUMBA_CACHE_DIR", str(find_user_cache() or folder))
    os.environ.setdefault("NILEARN_DATA", str(folder))
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    tempfile.tempdir = None
    try:
        with _locked(folder), _ending_by_signal():
            yield folder
    finally:
        os.environ.clear()
        os.environ.update(before)
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)
        if is_new:
            _remove_empty(parent)


def _remove_empty(folder: Path) -> None:
    """Leave no empty folder where the app stopped before it wrote anything."""
    with suppress(OSError):
        Path(folder).rmdir()


def _use_prepared_caches(folder: Path) -> None:
    level = find_processor_level()
    if "NUMBA_CACHE_DIR" not in os.environ and level and (PREPARED_CACHES / level).is_dir():
        shutil.copytree(PREPARED_CACHES / level, folder, dirs_exist_ok=True)
        # Without names of features numba would add those of this very processor, and miss the cache.
        os.environ.update({"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": ""})


def find_user_cache() -> Path | None:
    """Return the folder that keeps this version's compiled kernels from run to run.

    None in the image, which has its own, and where the user has no folder of caches that may be written.
    """
    if PREPARED_CACHES.is_dir():
        return None
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home, "taskglm", KERNELS + digest_of_sources())
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What is loaded from here is run: it must be the user's own.
        if folder.stat().st_uid != os.getuid():
            return None
        with tempfile.TemporaryFile(dir=folder):
            pass
        os.utime(folder)
    except (OSError, RuntimeError):  # read-only; no HOME
        return None
    for other in folder.parent.glob(f"{KERNELS}*"):
        with suppress(OSError):
            if other.stat().st_mtime < time.time() - DAYS_TO_KEEP * 86400:
                shutil.rmtree(other, ignore_errors=True)
    return folder


def digest_of_sources(package: Path = Path(__file__).parents[1]) -> str:
    """Return a digest of the package: numba sees changes of a kernel's own file, not of those it imports."""
    digest = hashlib.sha256(str(package).encode())
    for folder in COMPILED:
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def find_processor_level(path: Path | str = "/proc/cpuinfo") -> str | None:
    """Return the best of ``LEVELS`` that this processor has; None where it has none or cannot be told."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    return next((name for name, needed in LEVELS.items() if needed <= flags), None)


def remove_abandoned(parent: Path) -> None:
    """Remove the work folders that killed processes of this machine left.

    The lock of a folder tells whether its process lives: it is the kernel's, so it holds across containers
    and ends with the process. Other machines' locks are not always seen; their folders are left alone.
    """
    for lock in Path(parent).glob(f"{WORK_PREFIX}{platform.node()}-*/{LOCK}"):
        try:
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        shutil.rmtree(lock.parent, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # Under its name the file is locked from the start: nobody can take the folder for abandoned.
    new = folder / f"new-{LOCK}"
    with new.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(folder / LOCK)
        except OSError:  # a file system without locks: such a folder is never taken for abandoned
            new.unlink()
        yield


@contextmanager
def _ending_by_signal() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Of a terminal that was closed nothing is heard where nohup says so.
    numbers = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(number)
