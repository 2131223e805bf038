"""The group stage tells each of its steps, in a log and in a terminal, and its results are the same bytes."""

import fcntl
import io
import os
import pty
import re
import struct
import termios
from itertools import count

import pytest
from outcomes import call_app

from bidsapp.group import stage
from bidsapp.job.progress import Steps

FEW = [
    "--group-design",
    "one-sample",
    "--n-permutations",
    "64",
    "--statistics",
    "height,tfce",
    "--atlas",
    "aal",
]


@pytest.fixture
def call(group_maps, tmp_path):
    """Return a function that runs the group level into a folder."""
    always = ["group", "--estimates", str(group_maps), "--n-cpus", "1", *FEW]
    return lambda name, *words, pages=True: call_app(
        [group_maps, tmp_path / name, *always, *words], pages=pages
    )


def watch(monkeypatch, stream):
    """Let the stage write to a stream, and each look at the clock take a minute."""
    minutes = count(step=60)
    monkeypatch.setattr(stage, "Steps", lambda: Steps(stream, lambda: float(next(minutes))))


STEPS = [
    "reading the maps of A: 3 of 8 maps, about",
    "fitting A: ",
    "shuffling B (2 of 3): ",
    "influence of each input on C",
    "thresholds of B",
    "writing C (3 of 3)",
    "writing the report: 2 of 3 contrasts, about",
]


def test_a_log_names_every_step(call, tmp_path, monkeypatch, capsys):
    watch(monkeypatch, io.StringIO())
    assert call("out") == 0
    said = capsys.readouterr().err
    assert [words for words in STEPS if words not in said] == []
    assert re.search(
        r"shuffling A \(1 of 3\): \d+ of 64 shuffles, about \d+ min left, .* with the 2 to come", said
    )
    assert "at most" not in said
    assert "\r" not in said


def test_shuffling_that_may_stop_has_a_most(call, monkeypatch, capsys):
    watch(monkeypatch, io.StringIO())
    assert call("out", "--stop-when-decided", pages=False) == 0
    assert re.search(r"\d+ of at most 64 shuffles, at most \d+ min left", capsys.readouterr().err)


class Screen:
    """A pseudo terminal that is read as it is written, as it holds little."""

    def __init__(self):
        self._reader, self._writer = pty.openpty()
        os.set_blocking(self._reader, False)
        self.text = ""

    def isatty(self):
        return os.isatty(self._writer)

    def fileno(self):
        return self._writer

    def write(self, text):
        os.write(self._writer, text.encode())
        self.text += os.read(self._reader, 10**6).decode()

    def flush(self):
        pass


def test_a_terminal_has_every_step_on_one_line_and_results_do_not_change(call, tmp_path, monkeypatch):
    screen = Screen()
    fcntl.ioctl(screen.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    watch(monkeypatch, screen)
    assert call("live") == 0
    monkeypatch.undo()
    assert [words for words in STEPS if words not in screen.text] == []
    assert "\n" not in screen.text
    assert call("silent", pages=False) == 0
    live, silent = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.nii.gz")}
        for name in ("live", "silent")
    )
    assert live == silent
    assert len(live) > 50
