"""What a call of the app leaves behind, in a form in which two calls can be compared."""

import fnmatch
import io
import json
import re
from contextlib import ExitStack, redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import nibabel as nib
import numpy as np
import pandas as pd

from bidsapp.cli.main import main, make_settings
from bidsapp.cli.parser import parse_arguments
from bidsapp.vocabulary.thresholds import THRESHOLDS

# Entities of which results differ without being of another kind.
PLACES = re.compile(r"(?:^|_)(?:sub|ses|task|run|space|res|node|contrast|seg)-[^_.]+")
# What is written of the findings of one threshold, where there are any.
FINDINGS = ("clusters", "peaks", "dseg", "effects")
# What is written of the main threshold, whichever it is.
OF_MAIN = ("strongest", "robustness", "detectable")
# Columns of tables of peaks that are of other thresholds.
BESIDE = [f"{kind}_{name}" for kind in "pq" for name in THRESHOLDS]
FOLLOWING = ("cut ", "found ", "+cut ", "-cut ", "discoveries", "+discoveries", "-discoveries")

# What draws; no result depends on it.
REPORTS = (
    "group.stage.write_group_report",
    "group.stage.write_overview",
    "participant.stage.keep_overview",
    "participant.subject.write_subject_report",
)


def call_app(words, *, pages=False):
    """Call the app with these words; return the exit code.

    Pages are half of the time of a small run, so they are drawn only for tests that read them.
    """
    with ExitStack() as stack:
        for name in () if pages else REPORTS:
            stack.enter_context(patch(f"bidsapp.{name}"))
        return main([str(word) for word in words])


@dataclass(frozen=True)
class Call:
    """A call of the app: its words, exit code, output folder and log."""

    words: tuple
    code: int
    out: Path
    log: str

    @cached_property
    def settings(self):
        """The settings that the words are read as."""
        return make_settings(parse_arguments(self.words))

    @cached_property
    def results(self):
        """What ``read_results`` finds."""
        return read_results(self.out)

    @cached_property
    def records(self):
        """The records, by path."""
        return [json.loads(path.read_text()) for path in sorted(self.out.glob("logs/*.json"))]


class Calls:
    """Calls of one level on the same inputs: each is made once, without reports, and kept.

    Parameters
    ----------
    dataset : Path
    level : str
    make_folder : callable
        Returns a new folder.
    always : dict
        Flag -> words of every call.
    """

    def __init__(self, dataset, level, make_folder, always):
        self._place, self._level = (dataset, make_folder), level
        self._always, self._done = always, {}

    def __call__(self, flags):
        """Return the `Call` with these flags (flag -> words)."""
        chosen = tuple(str(word) for flag, words in (self._always | flags).items() for word in (flag, *words))
        if chosen not in self._done:
            self._done[chosen] = self._make(chosen)
        return self._done[chosen]

    def _make(self, chosen):
        dataset, make_folder = self._place
        out = make_folder() / "out"
        words = (str(dataset), str(out), self._level, *chosen)
        log = io.StringIO()
        with redirect_stderr(log):
            code = call_app(words)
        return Call(words, code, out, log.getvalue())


def kind_of(path):
    """Return what a file holds, as ``t``, ``run t``, ``logp maxT``, ``cut maxT`` or ``found maxT``."""
    stem = Path(path).name.partition(".")[0]
    level = ["run"] if "_run-" in stem else []
    *entities, suffix = (part for part in PLACES.sub("", stem).split("_") if part)
    words = [entity.partition("-")[2] for entity in entities]
    for name in OF_MAIN:
        if suffix == name or (suffix == "statmap" and name in words):
            return f"found {name}"
    if suffix in FINDINGS:
        return " ".join(["found", *words])
    if words and words[-1].endswith("Thr"):
        return f"cut {words[-1].removesuffix('Thr')}"
    return " ".join([*level, *(words if suffix == "statmap" else [suffix, *words])])


def read_results(folder):
    """Return the content of every result by its path: arrays and texts; records and reports hold times."""
    return {
        str(path.relative_to(folder)): _read(path)
        for path in sorted(folder.rglob("*"))
        if path.name.endswith((".nii.gz", ".tsv"))
    }


def _read(path):
    if path.name.endswith(".nii.gz"):
        return np.asarray(nib.load(path).dataobj)
    if path.name.endswith(("_peaks.tsv", "_strongest.tsv")):
        # The p of other thresholds follow from theirs.
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        return table.drop(columns=BESIDE, errors="ignore").to_csv(sep="\t")
    return path.read_text()


def is_same(one, other):
    """Return whether two contents are equal, arrays but for the rounding of float32."""
    if one is None or other is None:
        return one is other
    if isinstance(one, str):
        return one == other
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-6, atol=1e-6, equal_nan=True)


def changed_kinds(before, after):
    """Return the kinds of results that differ, ``+`` or ``-`` before those that came or went."""
    changed = set()
    for path in before.keys() | after.keys():
        if not is_same(before.get(path), after.get(path)):
            kind = kind_of(path)
            sign = "" if kind.startswith("found ") else "+" if path not in before else "-"
            changed.add(kind if path in before and path in after else sign + kind)
    return changed


def assert_matched(kinds, patterns):
    """Compare kinds with patterns: nothing that none matches, and something for each.

    What a threshold leaves (``cut``, ``found``) follows from the rest, and may be nothing.
    """
    surplus = {kind for kind in kinds if not any(fnmatch.fnmatchcase(kind, p) for p in patterns)}
    needed = [pattern for pattern in patterns if not pattern.startswith(FOLLOWING)]
    missing = {pattern for pattern in needed if not fnmatch.filter(kinds, pattern)}
    assert not surplus | missing, f"not expected: {sorted(surplus)}; missing: {sorted(missing)}"


def read_sidecars(folder):
    """Return the sidecars of every result below a folder by their path."""
    return {
        str(path.relative_to(folder)): json.loads(path.read_text())
        for path in sorted(folder.rglob("*.json"))
        if "logs" not in path.parts and path.name not in ("dataset_description.json", "participants.json")
    }
