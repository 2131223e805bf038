"""Progress of a stage: a live bar in a terminal, one line a unit of work in a log."""

import logging
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger("bidsapp.job.progress")


class Progress:
    """Counts finished units of work and says how far the stage is.

    Parameters
    ----------
    total : int
    unit : str
        What is counted, in the singular.
    """

    _bar: "tqdm | None"

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit, self._done, self._start = total, unit, 0, time.monotonic()
        self._bar = None
        if sys.stderr.isatty() and logger.isEnabledFor(logging.INFO):
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True)

    def advance(self, message: str) -> None:
        """Count one unit as finished and show its message."""
        self._done += 1
        if self._bar is not None:
            self._bar.write(message, file=sys.stderr)
            self._bar.update()
            return
        seconds = time.monotonic() - self._start
        left = seconds / self._done * (self._total - self._done)
        logger.info("%s (%d of %d, about %d s left)", message, self._done, self._total, round(left))

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
