"""F tests of a Dataset node over run columns: T2 of the subjects' effects of each row, by another route."""

import itertools
import json
import re
import shutil

import numpy as np
import pytest
from documents import contrast, make_node, write_model
from scipy import stats
from three_conditions import CONDITIONS, DATASET, RUN, SUBJECT, make_model, read_map, run_app

from bidsapp.errors import ModelError
from bidsapp.model.__main__ import main as model_command
from bidsapp.model.read import parse_model

A, B, _ = CONDITIONS
ANY = contrast("any", CONDITIONS[:2], [[1, 0], [0, 1]], "F")
OMNIBUS = contrast("omnibus", CONDITIONS, [[1, "-1", 0], [0, 1, "-2/2"]], "F")
ROWS = {"any": ["anyTrialTypeA", "anyTrialTypeB"], "omnibus": ["omnibusRow1", "omnibusRow2"]}
A_MINUS_B = contrast("aMinusB", CONDITIONS[:2], [1, -1])
MODEL = make_model(RUN, SUBJECT, make_node(DATASET, Contrasts=[ANY, OMNIBUS, A_MINUS_B]))
NO_SHUFFLES = ("--n-permutations", "0")


@pytest.fixture(scope="module")
def participants(three_conditions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("subjects")
    assert run_app(three_conditions, MODEL, folder) == 0
    return folder


@pytest.fixture(scope="module")
def shuffled(three_conditions, participants):
    words = ("--statistics", "height", "--n-permutations", "256")
    assert run_app(three_conditions, MODEL, participants, *words, levels=("group",), pages=True) == 0
    return participants


def subject_effects(folder, rows, subjects=range(1, 9)):
    """Return the effects of subjects, shape (n_rows, n_subjects, n_voxels)."""
    return np.array(
        [
            [read_map(folder, "subject", row, "effect", f"sub-{n:02d}/func").ravel() for n in subjects]
            for row in rows
        ]
    )


def hotelling(scores):
    """Return T2 as F, shape (n_voxels,), and its degrees of freedom."""
    n_rows, n_subjects, _ = scores.shape
    mean = scores.mean(axis=1)
    deviations = scores - mean[:, None]
    covariance = np.einsum("riv,qiv->vrq", deviations, deviations) / (n_subjects - 1)
    t2 = n_subjects * np.einsum("rv,rv->v", mean, np.linalg.solve(covariance, mean.T[..., None])[..., 0].T)
    dof = n_rows, n_subjects - n_rows
    return t2 * dof[1] / (n_rows * (n_subjects - 1)), dof


def group_map(folder, name, stat):
    return read_map(folder, "dataset", name, stat, "group").ravel()


@pytest.mark.parametrize("name", ROWS)
def test_f_of_run_columns_is_hotellings_of_the_subjects_effects(shuffled, name):
    f, dof = hotelling(subject_effects(shuffled, ROWS[name]))
    np.testing.assert_allclose(group_map(shuffled, name, "F"), f, rtol=1e-5)
    np.testing.assert_allclose(group_map(shuffled, name, "p"), stats.f.sf(f, *dof), rtol=1e-4)


def test_f_is_shuffled_as_whole_subjects(shuffled):
    scores = subject_effects(shuffled, ROWS["omnibus"])[:, :, :20]
    signs = np.array(list(itertools.product([1, -1], repeat=8)))
    all_f = np.array([hotelling(scores * one[None, :, None])[0] for one in signs])
    share = (all_f >= all_f[0] * (1 - 1e-9)).mean(axis=0)
    (path,) = (shuffled / "out/group").glob("*_contrast-omnibus_stat-logp_desc-permUnc_statmap.nii.gz")
    found = read_map(shuffled, "dataset", "omnibus", "logp_desc-permUnc", "group").ravel()[:20]
    np.testing.assert_allclose(10.0**-found, share, rtol=1e-4, err_msg=path.name)


def test_t_contrasts_beside_it_are_what_they_are_alone(shuffled):
    for name in ("aMinusB", "trialTypeC"):
        (effects,) = subject_effects(shuffled, [name])
        np.testing.assert_allclose(
            group_map(shuffled, name, "t"), stats.ttest_1samp(effects, 0).statistic, 1e-4
        )


def test_rows_are_not_tested_by_themselves(shuffled):
    maps = (shuffled / "out/group").glob("*_stat-p_statmap.nii.gz")
    names = {path.name.split("_contrast-")[1].split("_")[0] for path in maps}
    assert names == {"any", "omnibus", "aMinusB", "trialTypeA", "trialTypeB", "trialTypeC"}


def test_one_row_is_the_square_of_its_t(three_conditions, participants, tmp_path):
    shutil.copytree(participants / "out", tmp_path / "out")
    (tmp_path / "out/code/model-m_smdl.json").unlink()
    one = contrast("one", ["omnibus row 1"], [[1]], "F")
    row = contrast("omnibus row 1", CONDITIONS[:2], [1, -1])
    document = make_model(
        make_node(RUN, Contrasts=[row]), SUBJECT, make_node(DATASET, Contrasts=[one], DummyContrasts=None)
    )
    assert run_app(three_conditions, document, tmp_path, *NO_SHUFFLES, levels=("group",)) == 0
    t = stats.ttest_1samp(subject_effects(tmp_path, ["omnibusRow1"])[0], 0).statistic
    np.testing.assert_allclose(group_map(tmp_path, "one", "t"), t, rtol=1e-4)


def test_who_lacks_a_row_is_left_out_of_its_test_and_named(three_conditions, participants, tmp_path, capsys):
    shutil.copytree(participants / "out", tmp_path / "out")
    for path in (tmp_path / "out/sub-03/func").glob("*_node-subject_contrast-omnibusRow2_*"):
        path.unlink()
    assert run_app(three_conditions, MODEL, tmp_path, *NO_SHUFFLES, levels=("group",)) == 0
    others = [n for n in range(1, 9) if n != 3]
    f, _ = hotelling(subject_effects(tmp_path, ROWS["omnibus"], others))
    np.testing.assert_allclose(group_map(tmp_path, "omnibus", "F"), f, rtol=1e-5)
    f, _ = hotelling(subject_effects(tmp_path, ROWS["any"]))
    np.testing.assert_allclose(group_map(tmp_path, "any", "F"), f, rtol=1e-5)
    assert "sub-03 is left out: no estimate of omnibus row 2" in capsys.readouterr().err


def test_every_place_says_what_the_test_is(three_conditions, shuffled, capsys):
    assert run_app(three_conditions, MODEL, shuffled, "--dry-run", levels=("group",)) == 0
    shown = capsys.readouterr().out
    assert "    F omnibus," in shown
    assert "_contrast-omnibus_stat-{F,z,p}_statmap" in shown
    assert "within each subject, tested together (Hotelling's T2): omnibus row 1; omnibus row 2" in shown
    model_command(["check", str(write_model(MODEL, shuffled))])
    shown = capsys.readouterr().out
    assert "F test 'omnibus' of 'dataset' is about several estimates of each subject" in shown
    assert "F any within subjects (any trial_type.a; any trial_type.b)" in shown
    (sidecar,) = (shuffled / "out/group").glob("*_contrast-any_stat-F_statmap.json")
    fields = json.loads(sidecar.read_text())
    assert fields["Test"] == "F"
    assert "Hotelling's T2" in fields["EstimationMethod"]
    assert fields["DegreesOfFreedom"] == [2, 6.0]
    assert fields["Estimand"].startswith("no effect in any of: any trial_type.a; any trial_type.b")
    (record,) = (json.loads(path.read_text()) for path in (shuffled / "out/logs").glob("*_group.json"))
    assert "ordinary least squares (aMinusB, trial_type.a" in record["estimator"]
    assert "Hotelling's T2) (any, omnibus)" in record["estimator"]
    assert record["estimator"] in (shuffled / "out/group.html").read_text().replace("&#39;", "'")
    explained = next((shuffled / "out/code").glob("*_README.md")).read_text()
    assert "F test `omnibus` within subjects" in explained


def test_f_of_each_group_of_participants(three_conditions, participants, tmp_path):
    shutil.copytree(participants / "out", tmp_path / "out")
    node = make_node(DATASET, GroupBy=["contrast", "group"], Contrasts=[ANY, OMNIBUS, A_MINUS_B])
    document = make_model(RUN, SUBJECT, node)
    assert run_app(three_conditions, document, tmp_path, *NO_SHUFFLES, levels=("group",)) == 0
    f, _ = hotelling(subject_effects(tmp_path, ROWS["any"], [1, 3, 5, 7]))
    found = read_map(tmp_path, "datasetPatient", "any", "F", "group").ravel()
    np.testing.assert_allclose(found, f, rtol=1e-5)


def read(*nodes):
    return parse_model(json.dumps(make_model(*nodes)))


def within_of(model):
    return [
        (item["Name"], item["Cells"], item["Weights"])
        for item in model.nodes[-1].software["TaskGLM"]["SubjectContrasts"]
    ]


def test_rows_of_one_condition_are_its_own_contrast_where_it_is_not_tested_by_itself():
    model = read(RUN, SUBJECT, make_node(DATASET, Contrasts=[ANY], DummyContrasts=None))
    assert within_of(model) == [("any", [A, B], [[1, 0], [0, 1]])]
    assert model.edges[1].filter == {"contrast": (A, B)}
    assert [rule.name for rule in model.nodes[0].contrasts] == [A, B]


def test_listed_dummies_beside_it_get_copies_of_what_both_name():
    dummy = {"Test": "t", "Contrasts": [A]}
    model = read(RUN, SUBJECT, make_node(DATASET, Contrasts=[ANY], DummyContrasts=dummy))
    assert within_of(model) == [("any", [f"any {A}", B], [[1, 0], [0, 1]])]
    assert model.edges[1].filter == {"contrast": (A, f"any {A}", B)}


def test_rows_of_incoming_contrasts_are_made_of_these():
    run = make_node(RUN, Contrasts=[A_MINUS_B, contrast("c", [CONDITIONS[2]], [1])])
    both = contrast("both", ["aMinusB", "c"], [[1, 0], [2, "1/2"]], "F")
    model = read(run, SUBJECT, make_node(DATASET, Contrasts=[both], DummyContrasts=None))
    assert within_of(model) == [("both", ["aMinusB", "c"], [[1, 0], [2, 0.5]])]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Contrasts": [contrast("any", [A, "nosuch"], [[1, 0], [0, 1]], "F")]}, "'nosuch' is not in X"),
        ({"Contrasts": [contrast("any", [A, B], [[1, 0], [0]], "F")]}, "has 1 weights for 2 conditions"),
        ({"Contrasts": [contrast("any", [A, B], [[1, 0], [0, "x"]], "F")]}, "is 'x'; a weight is a number"),
        ({"Contrasts": [contrast("any", [A, B], [[1, 0], [0, 0]], "F")]}, "has only zeros"),
        ({"Model": {"X": [1, "age"]}, "Contrasts": [ANY]}, "'trial_type.a' is not in X"),
    ],
)
def test_what_is_at_fault_is_refused_in_words(change, words):
    with pytest.raises(ModelError, match=re.escape(words)):
        read(RUN, SUBJECT, make_node(DATASET, **change))


def difference_of(first, second):
    item = {"Name": "d", "Cells": [first, second], "Weights": [[1, -1]]}
    return {"Software": {"TaskGLM": {"SubjectContrasts": [item]}}}


def test_a_cell_that_nobody_has_is_refused(three_conditions, participants, capsys):
    software = {
        "TaskGLM": {"SubjectContrasts": [{"Name": "d", "Cells": [A, "nosuch"], "Weights": [[1, -1]]}]}
    }
    document = make_model(RUN, SUBJECT, make_node(DATASET, Model={"Software": software}))
    assert run_app(three_conditions, document, participants, "--dry-run", levels=("group",)) == 65
    assert "no estimate of 'nosuch' comes in" in capsys.readouterr().err


def test_a_cell_that_somebody_has_twice_is_refused(three_conditions, participants, capsys):
    document = make_model(RUN, make_node(DATASET, Model=difference_of(A, B)))
    assert run_app(three_conditions, document, participants, "--dry-run", levels=("group",)) == 65
    assert f"sub-01 has '{A}' several times" in capsys.readouterr().err
