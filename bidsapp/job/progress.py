"""Progress of a stage: a live line in a terminal, lines in a log."""

import logging
import math
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TextIO

from bidsapp.records.progress import Tell

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger("bidsapp.job.progress")
# Seconds between lines of a log, and between drawings of the line of a terminal.
SAY_EVERY, DRAW_EVERY = 30.0, 0.2
TO_END_OF_LINE = "\x1b[K"
# Of a terminal that does not say it.
USUAL_WIDTH = 80


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


class Steps:
    """Says what a stage is doing: which step of what, how much of it is done, how long the rest takes.

    In a terminal one line is drawn again and again, and log messages come above it; elsewhere the log has a
    line every half minute. Nothing is said when the log is quiet.

    Parameters
    ----------
    stream : text stream, optional
        Default: standard error.
    clock : callable
        Gives seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream or sys.stderr, clock
        self._is_live = self._stream.isatty() and logger.isEnabledFor(logging.INFO)
        self._words, self._unit, self._at_most, self._rest = "", "", False, 0
        self._before: int | None = None
        self._first: tuple[int, float] | None = None
        self._said, self._drawn, self._is_drawn = clock(), -math.inf, False

    def __enter__(self) -> Self:
        """Let log messages come above the line."""
        for handler in logging.getLogger("bidsapp").handlers:
            handler.addFilter(self._make_room)
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the line."""
        self._wipe()
        for handler in logging.getLogger("bidsapp").handlers:
            handler.removeFilter(self._make_room)

    def begin(self, words: str, unit: str = "", *, at_most: bool = False, rest: int = 0) -> Tell:
        """Begin a step.

        Parameters
        ----------
        words : str
            What is done: ``shuffling go (2 of 5)``.
        unit : str
            What `tell` counts, in the plural.
        at_most : bool
            Whether the step may end before all is done.
        rest : int
            How many steps like this one follow it.

        Returns
        -------
        callable
            `tell`.
        """
        self._words, self._unit, self._at_most, self._rest = words, unit, at_most, rest
        self._before, self._first, self._drawn = None, None, -math.inf
        self._show(words)
        return self.tell

    def tell(self, done: int, total: int) -> None:
        """Say how much of the step is done.

        What was done the first time tells no pace, nor does what comes next: that waits for what is compiled
        and read once.
        """
        now = self._clock()
        self._before = self._before if self._before is not None else done
        if self._first is None and done > self._before:
            self._first = done, now
        first, start = self._first or (done, now)
        words = f"{self._words}: {done:,} of {'at most ' if self._at_most else ''}{total:,} {self._unit}"
        if done > first:
            pace = (now - start) / (done - first)
            left = pace * (total - done)
            words += f", {'at most' if self._at_most else 'about'} {in_words(left)} left"
            if self._rest:
                words += f", {in_words(left + self._rest * pace * total)} with the {self._rest} to come"
        self._show(words)

    def _show(self, words: str) -> None:
        now = self._clock()
        if self._is_live:
            if now - self._drawn >= DRAW_EVERY:
                self._drawn, self._is_drawn = now, True
                # The last column stays free: some terminals go on to the next line there.
                self._stream.write(f"\r{words[: self._width() - 1]}{TO_END_OF_LINE}")
                self._stream.flush()
        elif now - self._said >= SAY_EVERY:
            self._said = now
            logger.info("%s", words)

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or USUAL_WIDTH
        except OSError:
            return USUAL_WIDTH

    def _make_room(self, _record: logging.LogRecord) -> bool:
        """Let a message have the line."""
        self._wipe()
        return True

    def _wipe(self) -> None:
        if self._is_drawn:
            self._is_drawn, self._drawn = False, -math.inf
            self._stream.write(f"\r{TO_END_OF_LINE}")
            self._stream.flush()


def in_words(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 100:
        return f"{round(seconds)} s"
    return f"{round(seconds / 60)} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
