"""Results of other programs, found and read as effect maps."""

import numpy as np
import pytest
from makers import programs as make

from bidsapp.errors import InputError, SettingsError
from bidsapp.inputs.estimates import find_estimates
from bidsapp.inputs.images.stacks import read_stack
from bidsapp.settings.parts import Selection


@pytest.fixture(scope="module")
def estimates():
    return make.make_estimates(2)


def find(*words, **selection):
    return find_estimates(Selection(estimates=tuple(map(str, words)), **selection), None, None)


def names_of(found):
    return sorted({file.key.contrast for file in found})


def assert_read(found, estimates, contrast="faces", names=None):
    """Check effects, variances and degrees of freedom of a contrast of everybody."""
    stack = read_stack([file for file in found if file.key.contrast == (names or contrast)])
    for row, (label, maps) in enumerate(estimates.items()):
        inside = np.isfinite(maps[contrast][0])
        assert stack.labels[row] == f"sub-{label}"
        np.testing.assert_array_equal(stack.effect[row], maps[contrast][0][inside])
        np.testing.assert_allclose(stack.variance[row], maps[contrast][1][inside], rtol=1e-5)
    return stack


def test_first_levels_of_feat_have_the_names_of_their_design_con(tmp_path, estimates):
    for label, maps in estimates.items():
        make.write_feat(tmp_path / f"sub-{label}" / "run.feat", maps)
    found = find(f"feat:{tmp_path}")
    assert names_of(found) == sorted(make.CONTRASTS)
    assert assert_read(found, estimates).dof.tolist() == [make.DOF] * 2
    assert found[0].metadata["Units"] == "arbitrary (grand mean 10000)"
    assert found[0].metadata["Software"] == "FSL FEAT 6.00"


def test_first_levels_in_the_space_of_the_run_are_read_where_they_are_registered(tmp_path, estimates):
    folders = [
        make.write_feat(tmp_path / f"sub-{label}.feat", maps, registered=True)
        for label, maps in estimates.items()
    ]
    assert_read(find(f"feat:{tmp_path}/*.feat"), estimates)
    (folders[1] / "reg_standard").rename(tmp_path / "away")
    with pytest.raises(
        InputError, match=r"sub-02\.feat: its copes are in the space of the run.*featregapply"
    ):
        find(f"feat:{tmp_path}/*.feat")


def test_higher_levels_of_feat_are_named_after_the_contrasts_of_the_runs(tmp_path, estimates):
    for label, maps in estimates.items():
        make.write_gfeat(tmp_path / f"sub-{label}.gfeat", maps)
    found = find(f"feat:{tmp_path}/sub-*.gfeat")
    assert names_of(found) == sorted(make.CONTRASTS)
    assert assert_read(found, estimates).dof.tolist() == [make.DOF] * 2


def test_several_contrasts_of_a_higher_level_are_named_after_both(tmp_path, estimates):
    for label, maps in estimates.items():
        make.write_gfeat(tmp_path / f"sub-{label}.gfeat", maps, ("mean", "late - early"))
    found = find(f"feat:{tmp_path}")
    expected = [f"{lower}: {own}" for lower in make.CONTRASTS for own in ("mean", "late - early")]
    assert names_of(found) == sorted(expected)
    assert_read(found, estimates, names="faces: mean")


def test_an_unfinished_folder_of_feat_is_named(tmp_path, estimates):
    make.write_feat(tmp_path / "sub-01.feat", estimates["01"])
    (tmp_path / "sub-02.feat").mkdir()
    (tmp_path / "sub-03.gfeat").mkdir()
    with pytest.raises(InputError) as error:
        find(f"feat:{tmp_path}")
    assert "sub-02.feat/stats has no cope1" in str(error.value)
    assert "sub-03.gfeat has no cope1.feat" in str(error.value)


def test_effects_of_f_contrasts_of_fitlins_are_left_out_with_a_word(tmp_path, estimates, caplog):
    caplog.set_level("INFO")
    found = find(f"fitlins:{make.write_fitlins(tmp_path / 'out', estimates)}")
    assert names_of(found) == ["Faces", "LeftRight"]
    assert_read(found, estimates, names="Faces")
    assert found[0].key.node == "subjectLevel"
    assert caplog.text.count("Any is an F contrast, which has no effect: it is left out") == 1


def test_a_path_without_results_is_told(tmp_path):
    with pytest.raises(InputError, match=r"no such path"):
        find(f"feat:{tmp_path}/nothing/*")
    with pytest.raises(InputError, match=r"no folder \.feat or \.gfeat in it"):
        find(f"feat:{tmp_path}")
    with pytest.raises(SettingsError, match=r"nor a program 'feet'; did you mean 'feat'\?"):
        find(f"feet:{tmp_path}")


@pytest.mark.parametrize(
    ("place", "pattern", "entities"),
    [
        ("sub-01/ses-b_task-x.feat", None, {"sub": "01", "ses": "b", "task": "x"}),
        ("sub-01/sub-01_run-2.feat", None, {"sub": "01", "run": "2"}),
        ("results/s7/pre.feat", "s{participant}/{session}.feat", {"sub": "7", "ses": "pre"}),
        ("S_AB12/day2/x.feat", "S_{participant}/day{session}", {"sub": "AB12", "ses": "2"}),
    ],
)
def test_the_path_says_whose_a_result_is(tmp_path, estimates, place, pattern, entities):
    make.write_feat(tmp_path / place, estimates["01"])
    found = find(f"feat:{tmp_path}", estimates_pattern=pattern)
    assert dict(found[0].key.entities) == entities


def test_the_folder_that_is_named_counts_less_than_what_is_in_it(tmp_path, estimates):
    make.write_feat(tmp_path / "sub-lab" / "sub-01.feat", estimates["01"])
    assert find(f"feat:{tmp_path}/sub-lab")[0].key.entity("sub") == "01"
    assert find(f"feat:{tmp_path}/sub-lab/sub-01.feat")[0].key.entity("sub") == "01"


@pytest.mark.parametrize(
    ("place", "pattern", "error", "words"),
    [
        ("x/run.feat", None, InputError, r"x/run\.feat: whose it is cannot be seen.*--estimates-pattern"),
        ("sub-1/sub-2.feat", None, InputError, r"could be of participant 1 or 2.*--estimates-pattern"),
        ("sub-1.feat", "sub-{person}", SettingsError, r"\{person\} is not known; known are participant"),
        ("sub-1.feat", "sub-1", SettingsError, r"names no \{participant\}"),
        ("sub-1.feat", "{participant}{participant}", SettingsError, r"names \{participant\} twice"),
    ],
)
def test_paths_that_do_not_say_whose_a_result_is_are_named(tmp_path, estimates, place, pattern, error, words):
    make.write_feat(tmp_path / place, estimates["01"])
    with pytest.raises(error, match=words):
        find(f"feat:{tmp_path}", estimates_pattern=pattern)


def test_two_results_of_one_participant_are_named(tmp_path, estimates):
    for name in ("a.feat", "b.feat"):
        make.write_feat(tmp_path / "sub-01" / name, estimates["01"])
    with pytest.raises(InputError, match=r"sub-01 has two maps of 'faces': .*a\.feat.* and .*b\.feat"):
        find(f"feat:{tmp_path}")
