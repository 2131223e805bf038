"""The group level on the same estimates as several programs write them."""

import json
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from makers import programs as make

from bidsapp.cli.main import main
from bidsapp.inputs.programs import PROGRAMS
from bidsapp.job.finished import fingerprint_model
from bidsapp.records.maps import Reading
from bidsapp.settings.parts import Selection

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


def test_sub_bricks_are_named_in_records_and_read_once(estimates, tmp_path, capsys):
    word = write("afni", tmp_path / "results", estimates)
    (contrast, _) = run(tmp_path / "out", word)[1]["contrasts"]
    expected = [f"../results/sub-{label}/stats.nii.gz" for label in estimates]
    assert [one["effect"] for one in contrast["inputs"]] == [f"{path}[3]" for path in expected]
    assert [one["variance"] for one in contrast["inputs"]] == [f"{path}[4]" for path in expected]
    tested = nib.load(tmp_path / "out" / contrast["tested"]).get_fdata()
    values = np.stack([maps["faces"][0] for maps in estimates.values()], axis=-1)
    np.testing.assert_array_equal(tested[np.isfinite(tested)], values[np.isfinite(values)])
    capsys.readouterr()
    run(tmp_path / "out", word)
    assert "finished before, nothing changed" in capsys.readouterr().err


def test_another_sub_brick_of_the_same_file_is_another_input():
    design = SimpleNamespace(matrix=np.ones((1, 1)))
    inputs = [
        SimpleNamespace(effect=Path("x"), variance=Path("x"), reading=Reading(effect=number, variance=4))
        for number in (1, 3)
    ]
    fits = [
        SimpleNamespace(inputs=[one], within=None, contrasts=[], variance_groups=(), blocks=(), design=design)
        for one in inputs
    ]
    plan, settings = SimpleNamespace(documents=[]), SimpleNamespace(group=None, permutation=None)
    one, other = (fingerprint_model(SimpleNamespace(fits=[fit]), plan, settings) for fit in fits)
    assert one != other


def test_who_has_no_variance_is_named_where_the_estimator_needs_one(estimates, tmp_path, capsys):
    word = write("afni", tmp_path / "results", estimates)
    maps = estimates["03"]
    labels = [label.replace("Tstat", "Stat") for label in make.describe_bucket(maps)[0]]
    make.write_bucket(tmp_path / "results" / "sub-03" / "stats.nii.gz", maps, labels)
    words = [tmp_path / "results", tmp_path / "out", *GROUP, "--estimates", word, "--dry-run"]
    assert main(list(map(str, words))) == 0
    assert "reads sub-01/stats.nii.gz, sub-02/stats.nii.gz" in capsys.readouterr().out
    assert main([*map(str, words), "--group-estimator", "reml"]) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "reml needs variance maps, and there are none of sub-03" in said


def test_every_program_is_in_help_and_page():
    (option,) = (field for field in fields(Selection) if field.name == "estimates")
    page = (Path(__file__).parents[2] / "docs" / "other-programs.md").read_text()
    for name in PROGRAMS:
        assert f"{name}:PATH" in option.metadata["help"]
        assert f"{name}:/" in page
