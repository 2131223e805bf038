"""Options of the group level that cannot be followed are told before a map is read."""

import logging
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bidsapp.cli.main import main
from bidsapp.group import stage
from bidsapp.participant import stage as participant_stage

ONE_SAMPLE = ["--group-design", "one-sample"]
TWO_SAMPLE = ["--group-design", "two-sample", "group"]


class MapReadError(BaseException):
    """What reading a map or run raises; the command line tells every Exception in words, and not this."""


@pytest.fixture(scope="module")
def files(group_maps, tmp_path_factory):
    """Return a folder of atlases and masks with a fault each."""
    folder = tmp_path_factory.mktemp("faulty")
    image = nib.load(group_maps / "code" / "halves.nii.gz")
    ones, far = np.ones(image.shape, np.int16), image.affine.copy()
    far[:3, 3] += 9000

    whole = (group_maps / "code" / "halves.nii.gz").read_bytes()

    def put(name, values=ones, affine=image.affine, table="index\tname\n1\ta\n"):
        nib.save(nib.Nifti1Image(values, affine), folder / f"{name}.nii.gz")
        (folder / f"{name}.tsv").write_text(table)

    put("columns", table="number\tname\n1\ta\n")
    put("words", table="index\tname\none\ta\n")
    put("twice", table="index\tname\n1\ta\n1.0\tb\n")
    put("others", table="index\tname\n7\ta\n")
    put("far", affine=far)
    put("empty", np.zeros(image.shape, np.int16))
    put("small", np.ones((5, 5, 5), np.int16))
    put("series", np.ones((*image.shape, 2), np.int16))
    for name, content in (("text", b"no image"), ("cut", whole[:200])):
        put(name)
        (folder / f"{name}.nii.gz").write_bytes(content)
    put("latin")
    (folder / "latin.tsv").write_bytes(b"index\tname\n1\t\xe9\n")
    put("alone")
    (folder / "alone.tsv").unlink()
    return folder


@pytest.fixture
def call(group_maps, tmp_path, monkeypatch):
    """Return a function that runs the group level until it would read a map."""

    def read(*_):
        raise MapReadError("a map is read")

    monkeypatch.setattr(stage, "read_inputs", read)

    def call(*words, maps=group_maps):
        always = ["--estimates", str(maps), "--n-cpus", "1", "--quiet", "--n-permutations", "32"]
        return main([str(group_maps), str(tmp_path / "out"), "group", *always, *words])

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--atlas", "harvard_oxfrd"], "did you mean 'harvard_oxford'?"),
        (["--atlas", "aal,{}/nothing.nii.gz"], "nothing.nii.gz': neither a file nor one of aal"),
        (["--atlas", "{}/alone.nii.gz"], "alone.nii.gz needs a table of its labels"),
        (["--atlas", "{}/columns.nii.gz"], "columns.tsv needs the columns index and name"),
        (["--atlas", "{}/words.nii.gz"], "words.tsv has an index that is no number"),
        (["--atlas", "{}/twice.nii.gz"], "twice.tsv has the index 1 twice"),
        (["--atlas", "{}/others.nii.gz"], "others.nii.gz has no voxel with an index of"),
        (["--atlas", "{}/latin.nii.gz"], "latin.tsv is not UTF-8 text"),
        (["--atlas", "{}/text.nii.gz"], "text.nii.gz is not an image"),
        (["--atlas", "{}/cut.nii.gz"], "cut.nii.gz is truncated or corrupt"),
        (["--atlas", "{}/far.nii.gz"], "no voxel of the maps lies in any of its regions"),
        (["--roi", "{}/empty.nii.gz"], "no voxel of the maps lies in any of its regions"),
        (["--roi", "{}/far.nii.gz"], "no voxel of the maps lies in any of its regions"),
        (["--roi", "{0}/far.nii.gz,{0}/words.tsv"], "words.tsv has an index that is no number"),
        (["--mask", "gray-matter"], "Did you mean 'grey-matter'?"),
        (["--mask", "{}/text.nii.gz"], "text.nii.gz is not an image"),
        (["--mask", "{}/series.nii.gz"], "series.nii.gz holds 2 volumes"),
        (["--mask", "{}/small.nii.gz"], "5 x 5 x 5 voxels instead of 12 x 16 x 14"),
        (["--mask", "{}/empty.nii.gz"], "none of its voxels lies in the maps"),
        (["--resample", "--mask", "{}/far.nii.gz"], "none of its voxels lies in the maps"),
        (["--conjunction", "A=A,B"], "--conjunction A: a contrast has this name"),
        (["--conjunction", "x=A,B", "--conjunction", "x=B,C"], "'x' is given twice"),
        (["--conjunction", "x=A,A"], "two contrasts or more"),
        (["--statistics", "maxT"], "--statistics: 'maxT' is not one of height, extent, mass, tfce"),
        (["--statistics", "tcfe"], "did you mean 'tfce'?"),
        (["--select-contrasts", "Bb"], "--select-contrasts: there is no contrast 'Bb'. Did you mean 'B'?"),
        (["--conjunction", "x=A,Bb"], "no node makes the t contrasts A, Bb. There are: A, B, C"),
        (["--across-contrasts", "AA"], "no group model tests a contrast 'AA', did you mean 'A'?"),
        (["--variance-groups", "grup"], "no column 'grup' in participants.tsv. Did you mean 'group'?"),
        (
            [*TWO_SAMPLE, "--group-contrast", "d=group.control - group.patent"],
            "Did you mean 'group.patient'?",
        ),
        ([*TWO_SAMPLE, "--group-contrast", "d=Control"], "Did you mean 'group.control'?"),
        (["--group-design", "covariate", "Age"], "no column 'Age'. Did you mean 'age'?"),
        (["--group-design", "one_sample"], "did you mean 'one-sample'?"),
        (["--group-design", "paired", "ses-1", "ses-2"], "there is no contrast 'ses-1'"),
        (["--group-design", "paired", "A", "B", "--group-contrast", "d=A - Bb"], "Did you mean 'B'?"),
        (["--group-design", "repeated-measures", "task=task-x,task-y"], "no estimate is of 'task-y'"),
        (["--participant-label", "99"], "No effect maps of sub-99"),
        (["--main-threshold", "height", "--n-permutations", "0"], "--n-permutations is 0"),
        (["--n-permutations", "1"], "--n-permutations 1: that is the data as they are"),
        (["--group-smoothing-fwhm", "8000"], "--group-smoothing-fwhm: 8000 is more than 200"),
        (
            [*TWO_SAMPLE, "--variance-groups", "group", "--group-estimator", "huber"],
            "the estimator huber knows no --variance-groups; ols, reml, flame1 do",
        ),
    ],
)
def test_what_cannot_be_followed_is_told_before_a_map_is_read(call, files, capsys, words, message):
    assert call(*ONE_SAMPLE, *(word.format(files) for word in words)) in (18, 64, 65, 66)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--atlas", "aall"], "did you mean 'aal'?"),
        (["--roi", "{}/text.nii.gz"], "text.nii.gz is not an image"),
        (["--mask", "{}/empty.nii.gz"], "none of its voxels lies in the maps"),
        (["--n-permutations", "1"], "--n-permutations 1: that is"),
    ],
)
def test_a_dry_run_tells_what_cannot_be_followed(call, files, capsys, words, message):
    assert call(*ONE_SAMPLE, "--dry-run", *(word.format(files) for word in words)) in (64, 65)
    assert message in capsys.readouterr().err


@pytest.fixture
def one_contrast(group_maps, tmp_path):
    """Return a copy of the maps of one contrast."""
    shutil.copytree(group_maps.parent / "one", tmp_path / "maps")
    return tmp_path / "maps"


@pytest.mark.parametrize(
    ("share", "n_without", "refused"), [("all", 1, True), ("7", 1, False), ("7", 2, True)]
)
def test_an_estimator_without_enough_variance_maps_is_told(
    call, one_contrast, capsys, share, n_without, refused
):
    maps = one_contrast
    for number in range(n_without):
        for path in maps.glob(f"sub-{number + 1:02d}/*variance*"):
            path.unlink()
    words = [*ONE_SAMPLE, "--group-estimator", "reml", "--min-subjects", share]
    if not refused:
        with pytest.raises(MapReadError, match="a map is read"):
            call(*words, maps=maps)
        return
    assert call(*words, maps=maps) == 64
    assert (
        "A: the estimator reml needs variance maps, and there are none of sub-01" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*ONE_SAMPLE, "--shuffle-scheme", "permutation"], "A, B, C: there is nothing to shuffle"),
        ([*ONE_SAMPLE, "--alpha", "0.001"], "A, B, C: shuffling cannot reach alpha = 0.001"),
        ([*TWO_SAMPLE, "--group-estimator", "huber"], "A control vs patient"),
    ],
)
def test_contrasts_that_cannot_be_shuffled_are_told_before_a_map_is_read(call, capsys, words, message):
    with pytest.raises(MapReadError, match="a map is read"):
        call(*words)
    assert message in capsys.readouterr().err


@pytest.fixture
def call_both(tiny_dataset, tmp_path, monkeypatch):
    """Return a function that runs both levels until a run would be read."""

    def run(*_):
        raise MapReadError("a run is read")

    monkeypatch.setattr(participant_stage, "run_subjects", run)
    both = [str(tiny_dataset), str(tmp_path), "participant", "group", "--n-cpus", "1"]
    return lambda *words: main([*both, *words])


def test_nothing_is_said_where_nothing_is_wrong(call, capsys, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(MapReadError, match="a map is read"):
        call(*ONE_SAMPLE)
    assert capsys.readouterr().err + caplog.text == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--atlas", "aall"], "did you mean 'aal'?"),
        (["--roi", "nowhere"], "--roi nowhere: neither a file nor one of aal"),
        (["--mask", "nowhere"], "--mask: there is no file nowhere"),
        (["--conjunction", "x=face"], "write NAME=CONTRAST,CONTRAST"),
        (["--n-permutations", "1"], "--n-permutations 1"),
        (["--main-threshold", "tfce", "--n-permutations", "0"], "--main-threshold tfce goes by shuffles"),
        (
            ["--variance-groups", "grup"],
            "--variance-groups: no column 'grup' in participants.tsv. Did you mean",
        ),
        (["--exchangeability-blocks", "grup"], "--exchangeability-blocks: no column 'grup'"),
        (["--group-design", "two-sample", "grup"], "participants.tsv has no column 'grup'"),
        (["--group-design", "paired", "face", "huose"], "there is no contrast 'huose'"),
    ],
)
def test_a_call_of_both_levels_tells_group_options_before_the_participants(call_both, capsys, words, message):
    assert call_both(*words) in (64, 65, 66)
    assert message in capsys.readouterr().err


def test_odd_values_of_who_is_not_analysed_are_no_fault_of_the_call(call_both, tiny_dataset, tmp_path):
    folder = tmp_path / "bids"
    shutil.copytree(tiny_dataset, folder)
    table = pd.read_csv(folder / "participants.tsv", sep="\t")
    table["arm"] = ["a", "b"] * (len(table) // 2)
    odd = pd.DataFrame({"participant_id": ["sub-99"], "arm": ["???"]})
    pd.concat([table, odd]).to_csv(folder / "participants.tsv", sep="\t", index=False, na_rep="n/a")
    words = [str(folder), str(tmp_path / "out"), "participant", "group", "--n-cpus", "1"]
    with pytest.raises(MapReadError, match="a run is read"):
        main([*words, "--group-design", "two-sample", "arm"])


def test_a_folder_for_the_index_that_cannot_be_made_is_told(tiny_dataset, tmp_path, capsys):
    (tmp_path / "file").touch()
    words = ["participant", "--bids-database-dir", str(tmp_path / "file" / "index"), "--dry-run"]
    assert main([str(tiny_dataset), str(tmp_path / "out"), *words]) == 73
    assert "--bids-database-dir: cannot use" in capsys.readouterr().err
