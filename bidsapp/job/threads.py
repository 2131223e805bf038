"""The same work for several items at a time, by threads: numpy and the writers of images let others run."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Thread
from typing import TypeVar

from bidsapp.errors import EXIT_FAILURE

Item = TypeVar("Item")
Result = TypeVar("Result")
SECONDS_BETWEEN_LOOKS = 1.0


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item], n_threads: int) -> list[Result]:
    """Return the results of a function for all items, in their order; the first failure is raised."""
    if min(n_threads, len(items)) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            return list(pool.map(function, items))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@cache
def end_with_parent() -> None:
    """Let this worker process end when the one that started it is gone, as by the memory killer.

    It would wait for work without end, with the outputs of the job open. Asked once a process.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(EXIT_FAILURE)

    Thread(target=watch, daemon=True).start()
