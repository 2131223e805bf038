"""Time that a dry run of each of many models takes after its dataset is read.

``python -m benchmarks.planning_models FOLDER ...``: every JSON file below the folders (default: the examples
of ``docs/models``). Each model gets a dataset of 3 subjects, or the first 3 of its Input, with 2 runs of 245
volumes, whose events have the columns and levels that its words name. Time is that of the processor. A model
that is refused counts as well: how it ends is told with ``--verbose``.
"""

import argparse
import gc
import io
import json
import re
import sys
import tempfile
import time
from functools import partial
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.planning import MOTION, _image_bytes, _write, write_line
from bidsapp.errors import AppError
from bidsapp.inputs.dataset.open import open_dataset
from bidsapp.model.read import read_model
from bidsapp.plan.show import show_plans
from bidsapp.records.model import INTERCEPT
from bidsapp.settings.parts import Control, ModelOptions, Settings

LIMIT = 1.0
N_VOLUMES, N_EVENTS = 245, 60
SUBJECTS, RUNS = ("01", "02", "03"), ("1", "2")
SPACE = "MNI152NLin2009cAsym"
CONFOUNDS = (
    *MOTION,
    *(f"{name}_derivative1" for name in MOTION),
    *(f"a_comp_cor_{number:02d}" for number in range(6)),
    *(f"cosine{number:02d}" for number in range(4)),
    *("framewise_displacement", "csf", "white_matter"),
)
EXAMPLES = Path(__file__).parents[1] / "docs" / "models"


def main(argv=None):
    """Plan all models, print the slowest, and return 0 when each takes less than LIMIT seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, default=[EXAMPLES])
    parser.add_argument("--verbose", action="store_true", help="one line for each model")
    args = parser.parse_args(argv)
    found = []
    for path in sorted(path for folder in args.folders for path in folder.rglob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8-sig")) if _is_json(path) else None
        if isinstance(document, dict) and {"nodes", "steps", "blocks"} & {key.lower() for key in document}:
            found.append((*plan(path), path.name))
    found.sort(reverse=True)
    for seconds, ending, name in found if args.verbose else found[:10]:
        write_line(f"{seconds:6.2f} s  {name}: {ending}")
    planned = sum(ending == "planned" for _, ending, _ in found)
    within = sum(seconds < LIMIT for seconds, _, _ in found)
    write_line(f"{len(found)} models, {planned} planned, the others refused; {within} in less than {LIMIT} s")
    return 0 if within == len(found) else 1


def _is_json(path):
    try:
        json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return False
    return True


def plan(path):
    """Return the seconds of the processor that the dry run of a model takes, and how it ends."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            write_dataset(folder, read_model(path))
        except AppError as error:
            return 0.0, _short(error)
        settings = Settings(
            folder,
            folder / "out",
            ("participant",),
            model=ModelOptions(model=str(path)),
            control=Control(dry_run="json"),
        )
        gc.collect()  # what earlier models left is not this one's
        start, ending = [time.process_time()], "planned"
        try:
            with patch("bidsapp.plan.participant.make.open_dataset", partial(_read, start)):
                show_plans(settings, io.StringIO())
        except AppError as error:
            ending = _short(error)
        return time.process_time() - start[-1], ending


def _read(start, *args, **options):
    """Read the dataset, and begin to count the time."""
    dataset = open_dataset(*args, **options)
    start.append(time.process_time())
    return dataset


def _short(error):
    return str(error).splitlines()[0][:160]


def write_dataset(folder, model):
    """Write a dataset that has what a model names; images hold a header and a few voxels."""
    columns, levels = named_by(model.nodes)
    events, confounds = make_events(columns, levels), make_confounds()
    image, mask = _image_bytes((2, 2, 2, N_VOLUMES)), _image_bytes((2, 2, 2))
    derivative = folder / "derivatives" / "fmriprep"
    spaces = model.input.get("space", (SPACE,))
    choices = (
        ("sub", model.input.get("subject", SUBJECTS)[: len(SUBJECTS)]),
        ("ses", model.input.get("session", tuple(levels.get("session", ("",))))),
        ("task", model.input.get("task", ("task",))),
        ("run", model.input.get("run", RUNS)[: len(RUNS)]),
    )
    for labels in product(*(labels for _, labels in choices)):
        names = [f"{key}-{label}" for (key, _), label in zip(choices, labels, strict=True) if label]
        place = "/".join([*names[:-2], "func", "_".join(names)])
        _write(folder / f"{place}_events.tsv", events)
        _write(folder / f"{place}_bold.nii.gz", image)
        _write(derivative / f"{place}_desc-confounds_timeseries.tsv", confounds)
        for space in spaces:
            _write(derivative / f"{place}_space-{space}_desc-preproc_bold.nii.gz", image)
            _write(derivative / f"{place}_space-{space}_desc-brain_mask.nii.gz", mask)
    about = {"Name": "benchmark", "BIDSVersion": "1.8.0", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    for task in dict(choices)["task"]:
        _write(folder / f"task-{task}_bold.json", b'{"RepetitionTime": 2.0}')
    for root, kind in ((folder, "raw"), (derivative, "derivative")):
        _write(root / "dataset_description.json", json.dumps(about | {"DatasetType": kind}).encode())


def make_events(columns, levels):
    """Return an events table with columns of numbers, and of texts with their levels."""
    rng = np.random.default_rng(0)
    n_events = max([N_EVENTS, *(4 * len(names) for names in levels.values())])
    onsets = np.linspace(4, 2.0 * N_VOLUMES - 20, n_events) + rng.uniform(0, 1, n_events)
    table = {"onset": [f"{onset:.3f}" for onset in onsets], "duration": ["2"] * n_events}
    table |= {name: [f"{value:.3f}" for value in rng.uniform(0.2, 3.0, n_events)] for name in columns}
    table |= {name: rng.permutation(np.resize(texts, n_events)).tolist() for name, texts in levels.items()}
    rows = zip(*table.values(), strict=True)
    return "\n".join(["\t".join(table), *map("\t".join, rows), ""]).encode()


def named_by(nodes):
    """Return the columns of numbers, and the levels of each column of text, that the words of nodes name."""
    made, texts, words = {INTERCEPT}, {"trial_type": ["a", "b"]}, []
    for node in nodes:
        for step in node.transformations:
            inputs = [name for name in step.arguments.get("Input", ()) if name not in made]
            for name, levels in _texts_of(step, inputs):
                texts.setdefault(name, []).extend(levels)
            words += inputs
            made.update(map(str, step.arguments.get("Output") or ()))
        words += node.x if node.level == "Run" else ()
        words += node.hrf.variables if node.hrf else ()
        words += [name for rule in node.contrasts for name in rule.conditions]
    for word in dict.fromkeys(words):
        base, _, level = word.partition(".")
        if level and word not in made:
            texts.setdefault("trial_type" if base in made else base, []).append(level.replace("*", "x"))
    known = {*made, *texts, *CONFOUNDS}
    columns = [word for word in dict.fromkeys(words) if not known & {word} and not {".", "*"} & set(word)]
    return columns, {name: list(dict.fromkeys(levels)) or ["one", "two"] for name, levels in texts.items()}


def _texts_of(step, inputs):
    """Return columns of text with the levels that a transformation says of them."""
    replaced = step.arguments.get("Replace")
    levels = [str(level) for level in replaced] if isinstance(replaced, dict) else []
    found = [(name, levels) for name in inputs] if levels or step.name in ("Factor", "Split") else []
    asked = re.findall(r"(\w+) *== *['\"]?([A-Za-z]\w*)", step.arguments.get("Query") or "")
    return [*found, *((name, [level]) for name, level in asked)]


def make_confounds():
    """Return a confounds table."""
    rows = np.random.default_rng(1).standard_normal((N_VOLUMES, len(CONFOUNDS)))
    lines = ["\t".join(f"{value:.6f}" for value in row) for row in rows]
    return "\n".join(["\t".join(CONFOUNDS), *lines, ""]).encode()


if __name__ == "__main__":
    sys.exit(main())
