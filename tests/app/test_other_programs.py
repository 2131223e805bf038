"""The group level on the same estimates as several programs write them."""

import json

import pytest
from makers import programs as make

from bidsapp.cli.main import main

GROUP = ["group", "--group-design", "one-sample", "--n-permutations", "16", "--n-cpus", "1", "--atlas", "aal"]

# The writer of one participant's results, and where they are.
WRITERS = {
    "feat": (make.write_feat, "sub-{}/run.feat"),
    "gfeat": (make.write_gfeat, "sub-{}.gfeat"),
    "spm": (make.write_spm, "sub-{}"),
    "afni": (make.write_bucket, "sub-{}/stats.nii.gz"),
    "afni+tlrc": (make.write_brik, "sub-{}/stats+tlrc.HEAD"),
}


def run(output, *words):
    """Run the group level; return its effect and t map of the contrast of faces as bytes, and its record."""
    dataset = output.parent / "dataset"
    dataset.mkdir(exist_ok=True)
    assert main([str(word) for word in (dataset, output, *GROUP, "--estimates", *words)]) == 0
    maps = {
        path.name.split("_stat-")[1]: path.read_bytes()
        for path in sorted((output / "group").glob("*_stat-*_statmap.nii.gz"))
        if path.name.lower().split("_contrast-")[1].startswith("faces_")
    }
    (path,) = (output / "logs").glob("*_group.json")
    return maps, json.loads(path.read_text())


@pytest.fixture(scope="module")
def estimates():
    return make.make_estimates()


@pytest.fixture(scope="module")
def ours(estimates, tmp_path_factory):
    """Return the maps of the group from our own files."""
    folder = tmp_path_factory.mktemp("ours")
    return run(folder / "out", make.write_own(folder / "maps", estimates))[0]


def write(program, folder, estimates):
    """Write everybody's results; return the word of ``--estimates`` for them."""
    if program == "fitlins":
        return f"fitlins:{make.write_fitlins(folder, estimates)}"
    writer, name = WRITERS[program]
    for label, maps in estimates.items():
        writer(folder / name.format(label), maps)
    return f"{program.removeprefix('g').removesuffix('+tlrc')}:{folder}"


@pytest.mark.parametrize("program", [*WRITERS, "fitlins"])
def test_results_of_every_program_are_those_of_our_own_maps(program, ours, estimates, tmp_path):
    word = write(program, tmp_path / "results", estimates)
    found, record = run(tmp_path / "out", word)
    assert {"effect_statmap.nii.gz", "t_statmap.nii.gz"} <= set(ours)
    assert found == ours
    assert [subject["label"] for subject in record["subjects"]] == [f"sub-{label}" for label in estimates]
