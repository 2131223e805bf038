"""Fixtures that many tests share."""

import fcntl
import gc
import os
import sys
import warnings
from pathlib import Path

# One folder of compiled kernels for all tests and the processes that they start, kept from run to run. Numba
# reads its name when it is imported.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parents[1] / ".numba_cache"))

import numpy as np
import pytest
import references
from makers.group_maps import make_group_maps
from makers.layouts import make_layouts, make_objects
from outcomes import Calls

from bidsapp.cli.main import main
from bidsapp.demo import make_demo

# Commands of the test packages stand beside the interpreter, also where no environment is activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def rng():
    """Random numbers, the same in every run."""
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def reference():
    """Return the folder of reference data; skip where it is absent."""
    if not references.FOLDER.is_dir():
        pytest.skip(references.ABSENT)
    return references.FOLDER


def pytest_collection_modifyitems(items):
    """Mark the tests that cannot do without the reference data."""
    for item in items:
        if "reference" in item.fixturenames:
            item.add_marker("reference")


LAYOUTS = references.FOLDER / "data" / "layouts"
PUBLISHED = [pytest.param("published", marks=pytest.mark.reference)] if LAYOUTS.is_dir() else []


@pytest.fixture(scope="session", params=["made", *PUBLISHED])
def layouts(request, tmp_path_factory):
    """Return the folder of the layouts: made as published ones are, and where there are those, they too."""
    if request.param == "published":
        return LAYOUTS
    folder = tmp_path_factory.mktemp("layouts")
    make_layouts(folder)
    return folder


@pytest.fixture(scope="session")
def objects(tmp_path_factory):
    """Return a dataset of one person with 12 runs of eight conditions; its images are tiny."""
    folder = tmp_path_factory.mktemp("objects") / "dataset"
    make_objects(folder)
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Return a function that fills a folder of a name, once for all processes of the run; returns it."""
    root = tmp_path_factory.getbasetemp()
    # That of a process is in the one of the run.
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def make(name, fill):
        folder, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_dataset(made_once):
    """Return a dataset of 4 subjects x 2 runs with known effects; read only."""

    def fill(folder):
        make_demo(folder / "dataset", n_subjects=4, voxel_size_mm=8.0, n_volumes=80)

    return made_once("tiny", fill) / "dataset"


@pytest.fixture(scope="session")
def tiny_results(tiny_dataset, made_once):
    """Return the output folder of the participant level of the tiny dataset; read only."""

    def fill(folder):
        words = [str(tiny_dataset), str(folder / "results"), "participant", "--n-cpus", "1", "--quiet"]
        assert main(words) == 0

    return made_once("tiny-out", fill) / "results"


@pytest.fixture(scope="session")
def group_maps(tmp_path_factory):
    """Return a dataset of effect and variance maps of 8 subjects and 3 contrasts; read only.

    Beside it, ``one`` has those of the first contrast alone, ``moved`` too, with one subject on another grid.
    """
    folder = tmp_path_factory.mktemp("group")
    make_group_maps(folder / "maps")
    make_group_maps(folder / "one", contrasts="A")
    make_group_maps(folder / "moved", contrasts="A", moved=True)
    return folder / "maps"


@pytest.fixture(scope="session")
def call_group(group_maps, tmp_path_factory):
    """Return the group level of ``group_maps`` as `Calls`."""
    always = {"--estimates": [group_maps], "--n-cpus": [1]}
    return Calls(group_maps, "group", lambda: tmp_path_factory.mktemp("group"), always)


@pytest.fixture(scope="session")
def call_participant(tmp_path_factory):
    """Return the participant level of one person with two runs and few voxels as `Calls`."""
    folder = tmp_path_factory.mktemp("one")
    make_demo(folder / "dataset", n_subjects=1, voxel_size_mm=16.0, n_volumes=80)
    always = {"--n-cpus": [1], "--bids-database-dir": [folder / "index"]}
    return Calls(folder / "dataset", "participant", lambda: tmp_path_factory.mktemp("one"), always)


@pytest.fixture(scope="session")
def pymare():
    """Return PyMARE; it leaves a file open when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        import pymare
        import pymare.estimators

        gc.collect()
    return pymare


@pytest.fixture(scope="session")
def three_conditions(tmp_path_factory):
    """Return a dataset of 8 subjects x 2 runs with the conditions a, b and c; read only."""
    from three_conditions import make_three_conditions

    folder = tmp_path_factory.mktemp("three")
    (folder / "index").mkdir()
    return make_three_conditions(folder / "dataset")
