"""Results of other programs, found and read as effect maps."""

import contextlib
import re

import numpy as np
import pytest
from makers import programs as make
from scipy.io import savemat

from bidsapp.errors import InputError, SettingsError
from bidsapp.inputs.estimates import find_estimates
from bidsapp.inputs.images.stacks import read_stack
from bidsapp.inputs.programs.afni import _plain_names
from bidsapp.settings.parts import Selection

# How a file of MATLAB's format 7.3 begins.
SEVEN_THREE = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n".ljust(400, b"\0")


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
    assert (found[0].key.node, found[0].metadata["Software"]) == ("subjectLevel", "FitLins 0.11.0")
    assert caplog.text.count("Any is an F contrast, which has no effect: it is left out") == 1
    assert find(f"fitlins:{tmp_path}/out/node-subjectLevel") == found


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
        ("results/s7.feat", "s{participant}", {"sub": "7"}),
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


def write_spm(folder, estimates, **more):
    for label, maps in estimates.items():
        make.write_spm(folder / f"sub-{label}", maps, **more)
    return f"spm:{folder}"


def test_t_contrasts_of_spm_have_the_variance_of_residuals_and_design(tmp_path, estimates, caplog):
    caplog.set_level("INFO")
    found = find(write_spm(tmp_path, estimates))
    assert names_of(found) == sorted(make.CONTRASTS)
    assert assert_read(found, estimates, "faces").dof.tolist() == [make.DOF] * 2
    assert found[0].variance.name == "ResMS.nii"
    assert found[0].metadata["Software"] == "SPM12: spm_spm (v7738)"
    assert caplog.text.count("any is no t contrast, and has no effect: it is left out") == 1


def test_without_residuals_the_variance_of_spm_comes_from_t(tmp_path, estimates):
    word = write_spm(tmp_path, estimates)
    for path in tmp_path.rglob("ResMS.nii"):
        path.unlink()
    for name in make.CONTRASTS:
        assert_read(find(word), estimates, name)
    for path in tmp_path.rglob("spmT*"):
        path.unlink()
    assert {file.variance for file in find(word)} == {None}


@pytest.mark.parametrize("place", ["C:\\study\\con_0001.nii,1", "/home/x/con_0001.nii", "../../con_0001.nii"])
def test_files_of_spm_are_looked_for_beside_its_mat_file_only(tmp_path, estimates, place):
    (tmp_path / "con_0001.nii").write_text("not to be read")
    maps = {"a/b: ../x": estimates["01"]["faces"]}
    folder = make.write_spm(tmp_path / "sub-01", maps, names=[place.removesuffix(",1")])
    (found,) = find(f"spm:{folder}")
    assert (found.effect, found.key.contrast) == (folder / "con_0001.nii", "a/b: ../x")


def test_contrasts_of_spm_that_are_not_estimated_are_left_out(tmp_path, estimates, caplog):
    caplog.set_level("INFO")
    make.write_spm(tmp_path / "sub-01", estimates["01"])
    contrasts = np.array(
        [("new", "T", np.eye(3)[0], np.zeros((0, 0)))],
        dtype=[(k, object) for k in ("name", "STAT", "c", "Vcon")],
    )
    make.write_spm(tmp_path / "sub-02", estimates["02"], more={"xCon": contrasts})
    assert {file.key.entity("sub") for file in find(f"spm:{tmp_path}")} == {"01"}
    assert "new is not estimated yet: it is left out" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:700]), r"SPM\.mat is no SPM\.mat, or is truncated"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), r"SPM\.mat is no SPM\.mat, or is truncated"),
        (lambda path: path.write_bytes(b"nothing of the kind" * 50), r"SPM\.mat is no SPM\.mat"),
        (lambda path: path.write_bytes(SEVEN_THREE), r"SPM\.mat has MATLAB's format 7\.3.*'-v7'"),
        (lambda path: savemat(path, {"other": 1}), r"SPM\.mat is no SPM\.mat"),
        (lambda path: savemat(path, {"SPM": 1}), r"SPM\.mat has no contrast"),
        (
            lambda path: savemat(path, {"SPM": {"xCon": "text"}}),
            r"no effect is left\. contrast 1 is no t contrast",
        ),
        (
            lambda path: (path.parent / "con_0002.nii").unlink(),
            r"con_0002\.nii, the map of 'faces' in .*is missing",
        ),
    ],
)
def test_a_damaged_result_of_spm_is_told_with_its_file(tmp_path, estimates, change, words):
    folder = make.write_spm(tmp_path / "sub-01", estimates["01"])
    change(folder / "SPM.mat")
    with pytest.raises(InputError, match=words):
        find(f"spm:{tmp_path}")


@pytest.mark.parametrize(
    "write",
    [
        lambda folder, maps: make.write_bucket(folder / "stats.x_REML.nii.gz", maps),
        lambda folder, maps: make.write_brik(folder / "stats.x_REML+tlrc.HEAD", maps),
    ],
)
def test_coefficients_of_a_bucket_have_the_names_of_their_labels(tmp_path, estimates, write, caplog):
    caplog.set_level("INFO")
    for label, maps in estimates.items():
        write(tmp_path / f"sub-{label}", maps)
    found = find(f"afni:{tmp_path}")
    assert names_of(found) == sorted(make.CONTRASTS)
    for name in make.CONTRASTS:
        assert assert_read(found, estimates, name).dof.tolist() == [make.DOF] * 2
    assert caplog.text.count("Full_Fstat has no effect: it is left out") == 1


def test_a_brik_stands_for_its_header_and_parameters_of_noise_are_no_bucket(tmp_path, estimates):
    path = make.write_brik(tmp_path / "sub-01" / "stats.x_REML+tlrc.HEAD", estimates["01"])
    expected = find(f"afni:{path}")
    assert find(f"afni:{path.with_suffix('.BRIK')}") == expected
    make.write_brik(tmp_path / "sub-01" / "stats.x_REMLvar+tlrc.HEAD", estimates["01"])
    assert find(f"afni:{tmp_path}") == expected


def test_names_of_coefficients_keep_what_tells_them_apart():
    bases = ["vis#0", "vis#1", "aud#0", "vis-aud_GLT#0", "aud_GLT#0"]
    assert _plain_names(bases) == ["vis#0", "vis#1", "aud", "vis-aud", "aud_GLT"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a_Coef"], r"has 5 sub-bricks and 1 labels"),
        (list("abcde"), r"no sub-brick whose label ends in _Coef; there are a, b, c, d, e"),
        ([""], r"has no labels of sub-bricks"),
    ],
)
def test_a_bucket_whose_labels_do_not_say_what_it_holds_is_named(tmp_path, estimates, labels, words):
    path = make.write_bucket(tmp_path / "sub-01" / "stats.nii.gz", estimates["01"], labels)
    with pytest.raises(InputError, match=rf"{path} {words}|{path}.*{words}"):
        find(f"afni:{tmp_path}")


def test_an_image_without_the_extension_of_afni_is_no_bucket(tmp_path):
    make.save(tmp_path / "sub-01" / "stats.nii.gz", np.ones((*make.SHAPE, 3)))
    with pytest.raises(InputError, match=r"stats\.nii\.gz has no labels of sub-bricks"):
        find(f"afni:{tmp_path}")


def test_one_contrast_of_higher_levels_can_be_named(tmp_path, estimates):
    for label, maps in estimates.items():
        make.write_gfeat(tmp_path / f"sub-{label}.gfeat", maps)
    assert names_of(find(f"feat:{tmp_path}/*.gfeat/cope2.feat")) == ["faces"]


def test_contrasts_of_one_name_are_named(tmp_path, estimates):
    folder = make.write_spm(tmp_path / "sub-01", {**estimates["01"], " faces": estimates["01"]["faces"]})
    with pytest.raises(
        InputError, match=r"sub-01 has two maps of 'faces': .*con_0002\.nii and .*con_0003\.nii"
    ):
        find(f"spm:{folder}")


def write_table(path, *rows):
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    return path


def test_a_table_says_whose_each_result_is(tmp_path, estimates):
    for label, maps in estimates.items():
        make.write_feat(tmp_path / "all" / f"x{label}.feat", maps)
    rows = [(f"sub-{label}", f"all/x{label}.feat", "2") for label in estimates]
    table = write_table(tmp_path / "maps.tsv", ("participant_id", "path", "session"), *rows)
    found = find(f"feat:{table}")
    assert_read(found, estimates)
    assert found[0].key.entity("ses") == "2"


def test_a_table_takes_one_contrast_of_each_result(tmp_path, estimates):
    make.write_feat(tmp_path / "x.feat", estimates["01"])
    header, row = ("participant_id", "path", "contrast"), ("01", "x.feat", "faces")
    assert names_of(find(f"feat:{write_table(tmp_path / 'a.tsv', header, row)}")) == ["faces"]
    table = write_table(tmp_path / "b.tsv", header, (*row[:2], "face"))
    with pytest.raises(InputError, match=r"x\.feat has no contrast 'face'\. Did you mean 'faces'\?"):
        find(f"feat:{table}")


def test_a_table_of_maps_needs_no_program(tmp_path, estimates):
    rows = []
    for label, maps in estimates.items():
        for stat, values in zip(("e", "v"), maps["faces"], strict=True):
            make.save(tmp_path / f"{stat}{label}.nii.gz", values)
        rows.append((label, f"e{label}.nii.gz", "faces", f"v{label}.nii.gz", "31"))
    header = ("participant_id", "path", "contrast", "variance", "dof")
    found = find(write_table(tmp_path / "maps.tsv", header, *rows))
    assert assert_read(found, estimates).dof.tolist() == [31, 31]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [("participant", "path"), ("01", "x")],
            r"has no column 'participant_id'\. Did you mean 'participant'",
        ),
        ([("participant_id", "path"), ("01", "")], r"row 2: no path"),
        ([("participant_id", "path"), ("a/b", "x")], r"row 2: 'a/b' is no label"),
        ([("participant_id", "path"), ("01", "x.nii")], r"x\.nii has no contrast\. Name it in a column"),
        ([("participant_id", "path", "contrast"), ("01", "x.nii", "a")], r"x\.nii, in .*, is not there"),
        (
            [("participant_id", "path", "contrast", "dof"), ("01", "x", "a", "many")],
            r"row 2: dof 'many' is not",
        ),
        (
            [("participant_id", "path", "contrast"), ("01", "maps.tsv", "a"), ("01", "maps.tsv", "a")],
            r"sub-01 has two maps of 'a'",
        ),
    ],
)
def test_faults_of_a_table_are_told_with_their_row(tmp_path, rows, words):
    with pytest.raises(InputError, match=words):
        find(write_table(tmp_path / "maps.tsv", *rows))


def test_damaged_degrees_of_freedom_of_a_bucket_are_told(tmp_path, estimates):
    path = make.write_brik(tmp_path / "sub-01" / "stats+tlrc.HEAD", estimates["01"])
    path.write_text(path.read_text().replace("\n0.0 4.0 2.0 2.0", "\n0.0 4.0 nan 2.0"))
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}: its attribute BRICK_STATAUX is damaged"):
        find(f"afni:{tmp_path}")


def test_a_truncated_bucket_is_told(tmp_path, estimates):
    path = make.write_bucket(tmp_path / "sub-01" / "stats.nii.gz", estimates["01"])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    with pytest.raises(InputError, match=r"stats\.nii\.gz is truncated or corrupt"):
        read_stack(find(f"afni:{tmp_path}")[:1])
    path.write_bytes(whole[:300])
    with pytest.raises(InputError, match=r"stats\.nii\.gz"):
        find(f"afni:{tmp_path}")


def test_what_a_header_claims_is_held_against_the_file_of_the_data(tmp_path, estimates, monkeypatch):
    """The header of AFNI is a small file of its own, less than the maps; as if nothing could be packed."""
    path = make.write_brik(tmp_path / "sub-01" / "stats+tlrc.HEAD", estimates["01"])
    monkeypatch.setattr("bidsapp.inputs.images.read.MOST_COMPRESSED", 1)
    assert path.stat().st_size < path.with_suffix(".BRIK").stat().st_size
    assert read_stack(find(f"afni:{tmp_path}")[:1]).effect.size


def test_names_with_signs_of_paths_stay_names(tmp_path, estimates):
    maps = {"../a>b&c/d": estimates["01"]["faces"]}
    make.write_bucket(tmp_path / "sub-01" / "stats.nii.gz", maps)
    make.write_feat(tmp_path / "sub-01" / "x.feat", maps)
    assert names_of([*find(f"afni:{tmp_path}"), *find(f"feat:{tmp_path}")]) == ["../a>b&c/d"]


def test_buckets_in_the_view_orig_have_a_warning(tmp_path, estimates, caplog):
    path = make.write_brik(tmp_path / "sub-01" / "stats+orig.HEAD", estimates["01"])
    path.write_text(path.read_text().replace("2 11 1", "0 11 1"))
    find(f"afni:{tmp_path}")
    assert "have the view +orig" in caplog.text


def test_a_path_of_a_table_may_be_the_folder_of_one_result(tmp_path, estimates):
    make.write_spm(tmp_path / "x" / "stats", estimates["01"])
    header = ("participant_id", "path")
    found = find(f"spm:{write_table(tmp_path / 'maps.tsv', header, ('01', 'x'))}")
    assert names_of(found) == sorted(make.CONTRASTS)
    with pytest.raises(InputError, match=r"y, in .*maps\.tsv, is, or holds, no file SPM\.mat"):
        find(f"spm:{write_table(tmp_path / 'maps.tsv', header, ('01', 'y'))}")
    make.write_spm(tmp_path / "x" / "other", estimates["01"])
    with pytest.raises(InputError, match=r"x, in .*maps\.tsv, holds 2 of them"):
        find(f"spm:{write_table(tmp_path / 'maps.tsv', header, ('01', 'x'))}")


def test_a_pattern_without_a_program_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="is for results of another program"):
        find(tmp_path, estimates_pattern="s{participant}")


@pytest.mark.parametrize(
    ("program", "name"), [("spm", "SPM.mat"), ("afni", "stats+tlrc.HEAD"), ("feat", "x.feat/design.con")]
)
def test_wherever_a_file_ends_the_fault_is_told(tmp_path, estimates, program, name):
    writers = {
        "spm": lambda: make.write_spm(tmp_path / "sub-01", estimates["01"]),
        "afni": lambda: make.write_brik(tmp_path / "sub-01" / name, estimates["01"]),
        "feat": lambda: make.write_feat(tmp_path / "sub-01" / "x.feat", estimates["01"]),
    }
    writers[program]()
    path = tmp_path / "sub-01" / name
    whole = path.read_bytes()
    for n_bytes in range(0, len(whole), max(len(whole) // 60, 1)):
        for rest in (b"", b"\xff" * 64 + whole[n_bytes + 64 :]):
            path.write_bytes(whole[:n_bytes] + rest)
            with contextlib.suppress(InputError):
                find(f"{program}:{tmp_path}")
