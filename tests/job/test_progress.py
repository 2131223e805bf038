"""What is said of the progress of a stage: in a terminal, in a log, and when nobody wants to know."""

import fcntl
import io
import logging
import os
import pty
import re
import struct
import termios

import pytest

from bidsapp.cli.main import configure_logging
from bidsapp.job.progress import DRAW_EVERY, SAY_EVERY, Steps, in_words


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(monkeypatch):
    """Return the text that the app logs, with a usual configuration of it."""
    text = io.StringIO()
    monkeypatch.setattr("sys.stderr", text)
    before = logging.getLogger("bidsapp").handlers, logging.getLogger("bidsapp").level
    configure_logging(0)
    yield text
    logging.getLogger("bidsapp").handlers[:], level = before
    logging.getLogger("bidsapp").setLevel(level)


def said(log):
    return [line.split(" INFO ")[1] for line in log.getvalue().splitlines()]


def run(steps, clock, *, seconds=1.0, total=100, **how):
    """Take so many seconds for each of so many shuffles."""
    tell = steps.begin("shuffling go (2 of 5)", "shuffles", **how)
    tell(0, total)
    for done in range(1, total + 1):
        clock.now += seconds
        tell(done, total)


def test_a_log_has_a_line_every_half_minute(log, clock):
    with Steps(io.StringIO(), clock) as steps:
        run(steps, clock)
    assert said(log) == [
        "shuffling go (2 of 5): 30 of 100 shuffles, about 70 s left",
        "shuffling go (2 of 5): 60 of 100 shuffles, about 40 s left",
        "shuffling go (2 of 5): 90 of 100 shuffles, about 10 s left",
    ]


def test_what_is_short_is_not_in_the_log_and_what_cannot_be_counted_is(log, clock):
    with Steps(io.StringIO(), clock) as steps:
        run(steps, clock, seconds=0.2)
        assert said(log) == []
        clock.now += SAY_EVERY
        steps.begin("writing go")
        steps.begin("writing stop")
    assert said(log) == ["writing go"]


def test_a_quiet_log_stays_quiet(log, clock):
    configure_logging(-1)
    with Steps(io.StringIO(), clock) as steps:
        run(steps, clock)
    assert log.getvalue() == ""


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            [(0, 9000, 10000), (50, 9100, 10000), (50, 9200, 10000)],
            [
                "shuffling go: 9,100 of 10,000 shuffles",
                "shuffling go: 9,200 of 10,000 shuffles, about 7 min left",
            ],
        ),
        (
            [(0, 0, 100), (90, 8, 100), (40, 54, 100)],
            ["shuffling go: 8 of 100 shuffles", "shuffling go: 54 of 100 shuffles, about 40 s left"],
        ),
    ],
    ids=["an earlier call", "what is compiled first"],
)
def test_what_came_before_is_no_pace_of_the_rest(log, clock, told, expected):
    with Steps(io.StringIO(), clock) as steps:
        tell = steps.begin("shuffling go", "shuffles")
        for seconds, done, total in told:
            clock.now += seconds
            tell(done, total)
    assert said(log) == expected


def test_what_may_stop_before_and_what_is_to_come_are_told(log, clock):
    with Steps(io.StringIO(), clock) as steps:
        run(steps, clock, seconds=30, total=3, at_most=True, rest=3)
    assert said(log)[1] == (
        "shuffling go (2 of 5): 2 of at most 3 shuffles, at most 30 s left, 5 min with the 3 to come"
    )


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (150, "2 min"), (9000, "2.5 h")])
def test_a_time_in_words(seconds, words):
    assert in_words(seconds) == words


@pytest.fixture
def terminal():
    """Return a pseudo terminal of 70 columns as the stream to write to, and what reads it."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
    os.set_blocking(reader, False)
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb", 0) as screen:
        # A terminal hands on what is written piece by piece.
        yield stream, lambda: b"".join(iter(lambda: screen.read(4096), None)).decode()


def lines_drawn(text):
    return re.findall(r"\r([^\r\x1b]+)\x1b\[K", text)


def test_a_terminal_has_one_line_that_is_drawn_again(log, clock, terminal):
    stream, screen = terminal
    with Steps(stream, clock) as steps:
        run(steps, clock, seconds=DRAW_EVERY / 2, total=20)
    text = screen()
    drawn = lines_drawn(text)
    assert "\n" not in text
    assert drawn[0] == "shuffling go (2 of 5)"
    assert drawn[-1] == "shuffling go (2 of 5): 20 of 20 shuffles, about 0 s left"
    # The first, then every second shuffle.
    assert len(drawn) == 11
    assert text.endswith("\r\x1b[K")
    assert log.getvalue() == ""


def test_messages_of_the_log_come_above_the_line_of_a_terminal(log, clock, terminal):
    stream, screen = terminal
    with Steps(stream, clock) as steps:
        tell = steps.begin("shuffling go", "shuffles")
        logging.getLogger("bidsapp.group").info("message")
        tell(1, 9)
        before = screen()
    assert before.replace("\x1b[K", "|") == "\rshuffling go|\r|\rshuffling go: 1 of 9 shuffles|"
    assert said(log) == ["message"]
    logging.getLogger("bidsapp.group").info("later")
    assert screen() == "\r\x1b[K"


def test_a_line_is_not_wider_than_its_terminal(log, clock, terminal):
    stream, screen = terminal
    with Steps(stream, clock) as steps:
        steps.begin("x" * 500)
        assert lines_drawn(screen()) == ["x" * 69]
