"""Old, broken, partial and mixed results are seen before they reach a group."""

import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
from outcomes import call_app

from bidsapp.cli import main as cli
from bidsapp.demo import make_demo
from bidsapp.errors import InputError
from bidsapp.plan import make_group_plan


@pytest.fixture
def out(tiny_results, tmp_path):
    """Return a copy of the results of four participants, to be changed."""
    return shutil.copytree(tiny_results, tmp_path / "out")


@pytest.fixture
def run(tiny_dataset, out, capfd):
    """Return a function that runs the app and returns its exit code and what it said."""

    def call(*arguments, data=tiny_dataset):
        more = ["--n-cpus", "1"] + (["--n-permutations", "0"] if arguments[0] == "group" else [])
        code = call_app([data, out, *arguments, *more])
        return code, capfd.readouterr().err

    return call


def plan(data, out, *arguments):
    words = [str(data), str(out), "group", *arguments]
    return make_group_plan(cli.make_settings(cli.parse_arguments(words)))


def notes_of(made):
    return " ".join(note for model in made.models for fit in model.fits for note in fit.notes)


def map_of(out, subject, contrast="face", stat="effect"):
    name = f"*node-subjectLevel_contrast-{contrast}_stat-{stat}_statmap.nii.gz"
    return next((out / f"sub-{subject}" / "func").glob(name))


def cut(path):
    path.write_bytes(path.read_bytes()[:400])


def empty(path):
    path.write_bytes(b"")


def fill_with_text(path):
    path.write_text("not an image")


def move_to_another_grid(path):
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:-1], image.affine), path)


DAMAGES = (cut, empty, fill_with_text, move_to_another_grid)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_map_is_made_again_by_the_participant_level(run, out, damage):
    path = map_of(out, "03")
    before = path.read_bytes()
    damage(path)
    code, said = run("participant")
    assert code == 0
    assert path.read_bytes() == before
    assert "sub-03: complete" in said
    assert "sub-02: finished before" in said


def test_a_damaged_map_costs_its_own_contrast_only(run, out):
    cut(map_of(out, "01"))
    move_to_another_grid(map_of(out, "02", stat="variance"))
    code, said = run("group")
    assert code == 1
    (error,) = [line for line in re.split(r"\n(?=\d\d:)", said) if " ERROR " in line]
    assert error.count("sub-01: ") == error.count("sub-02: ") == 1
    assert "The participant level makes damaged maps again" in error
    made = {path.name.split("_contrast-")[1].split("_")[0] for path in (out / "group").glob("*stat-t_*")}
    assert made == {"house", "faceMinusHouse"}
    (record,) = (out / "logs").glob("*_group.json")
    record = json.loads(record.read_text())
    assert record["status"] == "partial"
    assert "face: sub-01" in record["message"]


def link_nowhere(path):
    path.unlink()
    path.symlink_to("../../.git/annex/objects/aa/bb/MD5E-s1")


def test_maps_that_were_not_fetched_cost_their_contrast_and_are_called_so(run, out):
    effect, variance = map_of(out, "01"), map_of(out, "02", stat="variance")
    link_nowhere(effect)
    link_nowhere(variance)
    code, said = run("group")
    assert code == 1
    (error,) = [line for line in re.split(r"\n(?=\d\d:)", said) if " ERROR " in line]
    for subject, path in (("01", effect), ("02", variance)):
        assert f"sub-{subject}: {path} is a link to content that is not here. Fetch it: datalad" in error
    made = {path.name.split("_contrast-")[1].split("_")[0] for path in (out / "group").glob("*stat-t_*")}
    assert made == {"house", "faceMinusHouse"}


def test_sidecars_that_cannot_be_read_are_told_together(run, out):
    first, second = (map_of(out, label).with_suffix("").with_suffix(".json") for label in ("01", "02"))
    link_nowhere(first)
    cut(second)
    code, said = run("group", "--dry-run")
    assert code == 65
    assert f"{first} is a link to content that is not here. Fetch it: datalad get" in said
    assert f"{second} is not valid JSON" in said
    assert "The participant level makes damaged maps again" in said
    assert run("participant")[0] == 0
    assert run("group", "--dry-run")[0] == 0


@pytest.mark.parametrize("flag", ["--mask", "--roi", "--model"])
def test_files_of_flags_that_were_not_fetched_are_called_so(run, tmp_path, flag):
    path = tmp_path / "file.nii.gz"
    path.touch()
    link_nowhere(path)
    code, said = run("group", flag, path)
    assert code == 66
    assert f"{path} is a link to content that is not here" in said


def test_the_map_on_another_grid_than_most_is_named_though_it_is_the_first(run, out):
    for contrast in ("face", "house", "faceMinusHouse"):
        for stat in ("effect", "variance"):
            move_to_another_grid(map_of(out, "01", contrast, stat))
    code, said = run("group")
    assert code == 65
    assert "sub-01" in said
    assert "sub-02" not in said
    assert not list(out.glob("logs/*_group.json"))


def test_files_of_an_earlier_group_analysis_are_removed(run, out):
    run("group", "--roi", "aal", "--conjunction", "both=face,house")
    files = {path.name for path in (out / "group").glob("*.*")}
    assert any("contrast-both" in name for name in files)
    assert any("_regions." in name for name in files)
    run("group")
    left = {path.name for path in (out / "group").glob("*.*")}
    assert left < files
    gone = files - left
    assert all("contrast-both" in name or "_regions." in name for name in gone)
    assert {name for name in files if "contrast-both" in name or "_regions." in name} == gone


def test_a_group_that_was_finished_before_warns_again(run, out):
    code, said = run("group", "--participant-label", "01", "02", "03", "--alpha", "0.3")
    warnings = {line.partition("WARNING ")[2] for line in said.splitlines() if " WARNING " in line}
    again, said = run("group", "--participant-label", "01", "02", "03", "--alpha", "0.3")
    assert "finished before" in said
    assert code == again == 0
    assert {line.partition("WARNING ")[2] for line in said.splitlines() if " WARNING " in line} == warnings


@pytest.mark.parametrize(("n_subjects", "pages"), [(2, True), (4, False)])
def test_few_participants_give_what_can_be_had_at_every_call(tiny_dataset, out, capfd, n_subjects, pages):
    labels = [f"{number:02d}" for number in range(1, n_subjects + 1)]
    words = [str(tiny_dataset), str(out), "group", "--participant-label", *labels, "--n-permutations", "32"]
    for _ in range(2):
        assert call_app(words, pages=pages) == 0
        said = capfd.readouterr().err
        smallest = 2.0 / 2**n_subjects
        assert re.search(f"WARNING .*cannot reach alpha = 0.05: .* {smallest:g} ", said)
    assert map_of(out, "01").exists()
    assert list((out / "group").glob("*contrast-face_stat-t_statmap.nii.gz"))
    assert not pages or "cannot reach alpha" in (out / "group.html").read_text()


# Participants that the dataset does not hold any more


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Return a dataset with the first three of the participants."""
    folder = tmp_path_factory.mktemp("three") / "data"
    make_demo(folder, n_subjects=3, voxel_size_mm=8.0, n_volumes=80)
    return folder


def test_a_participant_who_was_removed_is_named_at_both_levels(run, three):
    for level in ("participant", "group"):
        code, said = run(level, data=three)
        assert code == 0
        assert re.search("WARNING .*sub-04 is in neither the dataset nor its derivatives", said)
        assert "--exclude-participant-label 04" in said


@pytest.mark.parametrize("left", ["sub-02/func", "sub-02"])
def test_a_participant_without_preprocessed_data_any_more_is_named(tiny_dataset, out, tmp_path, left):
    data = shutil.copytree(tiny_dataset, tmp_path / "data")
    shutil.rmtree(data / "derivatives/fmriprep" / left)
    assert "sub-02 is without preprocessed data any more" in notes_of(plan(data, out))


def test_who_counts_are_those_with_maps(run, out, three):
    shutil.rmtree(out / "sub-04")
    code, said = run("participant", "--noise-model", "ols", data=three)
    assert code == 0
    assert "sub-04" not in said
    for path in (out / "logs").glob("sub-*_participant.json"):
        path.unlink()
    (out / "sub-05/ses-1/func").mkdir(parents=True)
    shutil.copy(map_of(out, "03"), out / "sub-05/ses-1/func")
    _, said = run("participant", "--noise-model", "ols", data=three)
    assert re.search("WARNING .*sub-05 is in neither", said)


def test_a_participant_who_was_taken_out_of_the_table_is_named(tiny_dataset, out, tmp_path):
    data = shutil.copytree(tiny_dataset, tmp_path / "data")
    path = data / "participants.tsv"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "sub-02" not in line))
    assert "sub-02 is not in participants.tsv" in notes_of(plan(data, out))


def test_who_is_left_out_of_a_model_does_not_enter_it(tiny_dataset, out, tmp_path):
    data = shutil.copytree(tiny_dataset, tmp_path / "data")
    path = data / "participants.tsv"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "sub-02" not in line))
    noted = notes_of(plan(data, out, "--group-design", "covariate", "age"))
    assert "which enter the group" not in noted


def test_results_of_a_participant_who_is_excluded_now_are_named(run):
    code, said = run("participant", "--exclude-participant-label", "02")
    assert code == 0
    assert re.search("WARNING .*sub-02 is excluded now", said)


def test_a_call_for_some_says_nothing_of_the_others(run, three):
    assert "WARNING" not in run("participant", "--participant-label", "01", data=three)[1]


def test_estimates_that_are_given_are_meant(three, out):
    assert "sub-04" not in notes_of(plan(three, out, "--estimates", str(out)))
    assert "sub-04" not in notes_of(plan(three, out, "--participant-label", "03", "04"))


def test_a_group_of_results_alone_warns_of_nothing(out, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert notes_of(plan(tmp_path / "elsewhere", out)) == ""


# Maps made with different settings


@pytest.fixture(scope="module")
def other_results(tiny_dataset, tmp_path_factory):
    """Return a function to results of sub-03 and sub-04 with other flags, each made once."""
    made = {}

    def make(*flags):
        if flags not in made:
            made[flags] = tmp_path_factory.mktemp("other")
            words = [str(tiny_dataset), str(made[flags]), "participant", "--n-cpus", "1", "--quiet"]
            assert call_app([*words, "--participant-label", "03", "04", *flags]) == 0
        return made[flags]

    return make


def put(source, out, labels=("03", "04")):
    for label in labels:
        shutil.rmtree(out / f"sub-{label}")
        shutil.copytree(source / f"sub-{label}", out / f"sub-{label}")


FLAGS = {
    ("--smoothing-fwhm", "0"): "smoothing (mm)",
    ("--noise-model", "ols"): "noise model",
    ("--hrf-model", "glover"): "response",
    ("--confounds", "none"): "confounds",
    ("--high-pass", "100"): "high-pass filter (s)",
    ("--scaling", "none"): "scaling",
    ("--contrast", "faceMinusHouse=2*face - 2*house"): "weights of the contrast",
}


@pytest.mark.parametrize(("flags", "words"), FLAGS.items(), ids=lambda value: value[0])
def test_maps_of_other_settings_are_refused_with_the_setting_and_who_has_it(
    tiny_dataset, out, other_results, flags, words
):
    put(other_results(*flags), out, ["04"])
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        plan(tiny_dataset, out)
    assert "in 3 participants" in str(caught.value)
    assert "sub-04" in str(caught.value)
    assert "sub-01" not in str(caught.value)
    assert "--allow-mixed-settings" in str(caught.value)


def test_a_contrast_whose_maps_are_alike_is_not_named(tiny_dataset, out, other_results):
    put(other_results("--contrast", "faceMinusHouse=2*face - 2*house"), out)
    with pytest.raises(InputError, match=r"(?m)^faceMinusHouse: weights of the contrast"):
        plan(tiny_dataset, out)


def test_a_mixture_that_is_allowed_is_told(tiny_dataset, out, other_results):
    put(other_results("--noise-model", "ols"), out)
    noted = notes_of(plan(tiny_dataset, out, "--allow-mixed-settings"))
    assert "noise model auto in 2 participants, ols in sub-03, sub-04" in noted


def test_maps_of_one_kind_are_a_group_whoever_else_is_there(tiny_dataset, out, other_results):
    put(other_results("--noise-model", "ols"), out)
    assert len(plan(tiny_dataset, out, "--participant-label", "03", "04").models) == 1


def test_an_own_contrast_of_some_is_no_mixture(tiny_dataset, out, other_results):
    put(other_results("--contrast", "sum=face + house"), out)
    made = plan(tiny_dataset, out)
    assert {fit.contrast: len(fit.subjects) for fit in made.models[0].fits}["face"] == 4


def test_maps_of_another_version_are_refused(tiny_dataset, out):
    for path in (out / "sub-02").rglob("*_statmap.json"):
        path.write_text(path.read_text().replace('"TaskGLMVersion": "', '"TaskGLMVersion": "0.0.'))
    with pytest.raises(InputError, match="version of TaskGLM"):
        plan(tiny_dataset, out)


def test_maps_without_sidecars_are_not_compared(tiny_dataset, out):
    for path in (out / "sub-02").rglob("*_statmap.json"):
        path.unlink()
    assert "different settings" not in notes_of(plan(tiny_dataset, out, "--task-label", "viewing"))


# Participants who are left out


def subjects_of(made):
    return {fit.subjects for model in made.models for fit in model.fits}


@pytest.mark.parametrize("words", [["03, 04"], ["sub-03,sub-04"], ["03 04"], ["03", "04"]])
def test_a_list_of_excluded_participants_is_left_out_however_it_is_written(tiny_dataset, out, words):
    made = plan(tiny_dataset, out, "--exclude-participant-label", *words)
    assert subjects_of(made) == {("sub-01", "sub-02")}


@pytest.mark.parametrize("flag", ["--participant-label", "--exclude-participant-label"])
def test_a_label_that_nobody_has_is_refused_at_the_group_level(run, flag):
    code, said = run("group", flag, "3")
    assert code == 18
    assert "did you mean '03'" in said


def test_a_participant_without_results_may_be_excluded(tiny_dataset, out):
    shutil.rmtree(out / "sub-04")
    made = plan(tiny_dataset, out, "--exclude-participant-label", "04")
    assert subjects_of(made) == {("sub-01", "sub-02", "sub-03")}
