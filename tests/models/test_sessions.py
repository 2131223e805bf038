"""Models of sessions with unequal runs: every estimate from those of the runs, by numpy alone."""

import json

import nibabel as nib
import numpy as np
import pytest
from documents import contrast, make_node
from scipy import stats
from three_conditions import CONDITIONS, DATASET, RUN, SUBJECT, make_model, make_three_conditions, run_app

from bidsapp.names import make_label

A, B, _ = CONDITIONS
# The runs of each participant by session: sub-02 and sub-03 lack one, sub-04 the session post.
RUNS = {
    "01": {"pre": (1, 2), "post": (1, 2)},
    "02": {"pre": (1, 2), "post": (1,)},
    "03": {"pre": (2,), "post": (1, 2)},
    "04": {"pre": (1, 2)},
    "05": {"pre": (1, 2), "post": (1, 2)},
}
BOTH = [label for label, sessions in RUNS.items() if len(sessions) == 2]
CHANGE = contrast("change", ["session.post", "session.pre"], [1, -1])
A_MINUS_B = contrast("aMinusB", [A, B], [1, -1])
FACTORS = {
    "Transformer": "pybids-transforms-v1",
    "Instructions": [{"Name": "Factor", "Input": ["session", "subject"]}],
}
OF_SESSIONS = make_node(SUBJECT, Model={"X": ["session"]}, Contrasts=[CHANGE], DummyContrasts=None)
NODES = [
    make_node(RUN, GroupBy=["run", "session", "subject"], Contrasts=[A_MINUS_B]),
    make_node(SUBJECT, Level="Session", Name="session", GroupBy=["subject", "session", "contrast"]),
    make_node(SUBJECT, Name="both"),
    make_node(OF_SESSIONS, Name="changeOfSessions", Model={"X": ["session", 1]}),
    make_node(OF_SESSIONS, Name="changeOfRuns"),
    make_node(SUBJECT, Name="conditions", GroupBy=["subject"], Model={"X": [A, B]}, DummyContrasts=None)
    | {"Contrasts": [A_MINUS_B]},
    make_node(DATASET, Name="everySession", GroupBy=["contrast", "session"]),
    make_node(DATASET, Name="early"),
    make_node(DATASET, Name="meanChange"),
    make_node(DATASET, Name="paired", Model={"X": ["session", "subject"]}, DummyContrasts=None)
    | {"Contrasts": [CHANGE], "Transformations": FACTORS},
]


def edge(source, destination, **rule):
    return {"Source": source, "Destination": destination} | ({"Filter": rule} if rule else {})


EDGES = [
    edge("run", "session"),
    edge("session", "both", contrast=[A]),
    edge("session", "changeOfSessions", contrast=[A]),
    edge("run", "changeOfRuns", contrast=[A]),
    edge("run", "conditions", contrast=[A, B]),
    edge("session", "everySession", contrast=[A]),
    edge("session", "early", contrast=[A], session=["pre"]),
    edge("changeOfRuns", "meanChange", contrast=[f"{A} change"]),
    edge("session", "paired", contrast=[A]),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    data = make_three_conditions(
        tmp_path_factory.mktemp("unequal") / "data", n_subjects=len(RUNS), sessions=("pre", "post")
    )
    for path in sorted(data.rglob("*_task-t_run-*")):
        parts = dict(part.split("-") for part in path.name.split("_")[:4])
        if int(parts["run"]) not in RUNS[parts["sub"]].get(parts["ses"], ()):
            path.unlink()
    return data


@pytest.fixture(scope="module")
def results(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sessions")
    document = make_model(*NODES, Edges=EDGES)
    assert run_app(dataset, document, folder) == 0
    words = ("--n-permutations", "0")
    assert run_app(dataset, document, folder, *words, levels=("group",)) == 0
    return folder / "out"


def read(folder, node, name, stat, run=None):
    """Return a map of a folder, flat, and its sidecar."""
    label = make_label(name)
    part = f"_run-{run}_" if run else "_"
    (path,) = folder.glob(f"*{part}*node-{node}_contrast-{label}_stat-{stat}_statmap.nii.gz")
    fields = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    return nib.load(path).get_fdata().ravel(), fields


def of_runs(results, label, name, sessions=("pre", "post")):
    """Return the sessions, effects, variances and degrees of freedom of a participant's runs."""
    names, found = [], []
    for session in sessions:
        for run in RUNS[label].get(session, ()):
            folder = results / f"sub-{label}/ses-{session}/func"
            effect, fields = read(folder, "run", name, "effect", run)
            names.append(session)
            found.append((effect, read(folder, "run", name, "variance", run)[0], fields["DegreesOfFreedom"]))
    effects, variances, dof = zip(*found, strict=True)
    return names, np.array(effects), np.array(variances), np.array([np.full(125, one) for one in dof])


def combine(effects, variances, dof, matrix, weights):
    """Return effect, variance and Satterthwaite's dof of weighted least squares, a voxel after another.

    The variance is larger by Meier's 4 (1 - leverage) / dof in the part of each input.
    """
    found = []
    for b, v, nu in zip(effects.T, variances.T, dof.T, strict=True):
        if len(b) == 1:
            found.append((b[0], v[0], nu[0]))
            continue
        inverse = np.linalg.inv(matrix.T @ np.diag(1 / v) @ matrix)
        hat = matrix @ inverse @ matrix.T @ np.diag(1 / v)
        share = weights @ inverse @ matrix.T @ np.diag(1 / v)
        parts = share**2 * v
        excess = (parts * 4 * (1 - np.diag(hat)) / nu).sum()
        found.append((share @ b, parts.sum() + excess, parts.sum() ** 2 / (parts**2 / nu).sum()))
    return np.array(found).T


def of_session(results, label, name, session):
    """Return effect, variance and dof of a session, from its runs."""
    _, *inputs = of_runs(results, label, name, (session,))
    return combine(*inputs, np.ones((len(inputs[0]), 1)), np.ones(1))


def check(results, label, node, name, expected, where="func"):
    for stat, values in zip(("effect", "variance"), expected[:2], strict=True):
        found, _ = read(results / f"sub-{label}" / where, node, name, stat)
        np.testing.assert_allclose(found, values, rtol=2e-5, atol=1e-6, err_msg=f"{label} {node} {stat}")


@pytest.mark.parametrize("label", RUNS)
@pytest.mark.parametrize("name", [A, "aMinusB"])
def test_a_session_weighs_its_runs(results, label, name):
    for session in RUNS[label]:
        expected = of_session(results, label, name, session)
        check(results, label, "session", name, expected, f"ses-{session}/func")


@pytest.mark.parametrize("label", RUNS)
def test_a_subject_weighs_its_sessions(results, label):
    inputs = [of_session(results, label, A, session) for session in RUNS[label]]
    effects, variances, dof = np.moveaxis(np.array(inputs), 1, 0)
    expected = combine(effects, variances, dof, np.ones((len(effects), 1)), np.ones(1))
    check(results, label, "both", A, expected)


@pytest.mark.parametrize("label", BOTH)
def test_a_change_over_sessions_is_their_difference(results, label):
    pre, post = (of_session(results, label, A, session) for session in ("pre", "post"))
    check(results, label, "changeOfSessions", f"{A} change", (post[0] - pre[0], post[1] + pre[1]))


@pytest.mark.parametrize("label", BOTH)
def test_a_change_over_runs_weighs_those_of_each_session(results, label):
    names, *inputs = of_runs(results, label, A)
    matrix = np.array([[name == "post", name == "pre"] for name in names], float)
    expected = combine(*inputs, matrix, np.array([1.0, -1.0]))
    check(results, label, "changeOfRuns", f"{A} change", expected)


def test_who_has_one_session_has_no_change(results):
    names = {
        path.name.split("_node-")[1].split("_")[0] for path in (results / "sub-04/func").glob("*_statmap*")
    }
    assert names == {"both", "conditions"}
    record = json.loads(next((results / "logs").glob("*sub-04*.json")).read_text())
    (note,) = [note for note in record["warnings"] if "changeOfRuns" in note]
    assert note.endswith("changeOfRuns: not made: trial_type.a change: no session.post here")


def test_who_is_analysed_alone_is_told_the_same(dataset, results, tmp_path):
    document = make_model(*NODES, Edges=EDGES)
    assert run_app(dataset, document, tmp_path, "--participant-label", "04") == 0
    for folder in ("func", "ses-pre/func"):
        (one, other) = (
            {path.name: path.read_bytes() for path in (top / "sub-04" / folder).glob("*_statmap.nii.gz")}
            for top in (tmp_path / "out", results)
        )
        assert one == other
        assert one


@pytest.mark.parametrize("label", RUNS)
def test_conditions_over_unequal_sessions_have_the_covariance_of_each_run(results, label):
    (_, a, va, _), (_, b, vb, _), (_, _, difference, _) = (
        of_runs(results, label, name) for name in (A, B, "aMinusB")
    )
    covariance = (va + vb - difference) / 2
    precisions = np.linalg.inv(np.moveaxis(np.array([[va, covariance], [covariance, vb]]), (0, 1), (-2, -1)))
    total = np.linalg.inv(precisions.sum(axis=0))
    joint = np.einsum("vrs,ivst,tiv->rv", total, precisions, np.array([a, b]))
    weights = np.array([1.0, -1.0])
    folder = results / f"sub-{label}/func"
    effect, variance = (read(folder, "conditions", "aMinusB", stat)[0] for stat in ("effect", "variance"))
    np.testing.assert_allclose(effect, weights @ joint, rtol=1e-4, atol=1e-5)
    # Larger for estimated weights by no more than that of two runs alike.
    ratio = variance / (weights @ total @ weights)
    assert ratio.min() > 1.0 - 1e-5
    assert ratio.max() < 1.0 + 4 / 110


def group_t(results, node, name, session=None):
    found = [
        path
        for path in (results / "group").glob(
            f"*_node-{node}_contrast-{make_label(name)}_stat-t_statmap.nii.gz"
        )
        if session is None or f"ses-{session}_" in path.name
    ]
    (path,) = found
    return nib.load(path).get_fdata().ravel()


@pytest.mark.parametrize("session", ["pre", "post"])
def test_each_session_of_the_group_has_those_who_have_it(results, session):
    effects = [of_session(results, label, A, session)[0] for label in RUNS if session in RUNS[label]]
    expected = stats.ttest_1samp(effects, 0).statistic
    np.testing.assert_allclose(group_t(results, "everySession", A, session), expected, rtol=1e-4)


def test_a_filter_takes_one_session_to_the_group(results):
    effects = [of_session(results, label, A, "pre")[0] for label in RUNS]
    np.testing.assert_allclose(
        group_t(results, "early", A), stats.ttest_1samp(effects, 0).statistic, rtol=1e-4
    )


def test_the_mean_change_is_that_of_those_who_have_both_sessions(results):
    changes = [
        read(results / f"sub-{label}/func", "changeOfRuns", f"{A} change", "effect")[0] for label in BOTH
    ]
    expected = stats.ttest_1samp(changes, 0).statistic
    np.testing.assert_allclose(group_t(results, "meanChange", f"{A} change"), expected, rtol=1e-4)


def test_columns_of_participants_make_the_paired_difference(results):
    changes = np.array(
        [np.subtract(*(of_session(results, label, A, s)[0] for s in ("post", "pre"))) for label in BOTH]
    )
    (path,) = (results / "group").glob("*_node-paired_contrast-*AChange_stat-effect_statmap.nii.gz")
    found = nib.load(path).get_fdata().ravel()
    np.testing.assert_allclose(found, changes.mean(axis=0), rtol=1e-4, atol=1e-5)


def test_a_session_that_nobody_has_is_a_fault_of_the_model(dataset, tmp_path, capsys):
    wrong = contrast("change", ["session.past", "session.pre"], [1, -1])
    node = make_node(OF_SESSIONS, Contrasts=[wrong])
    assert run_app(dataset, make_model(NODES[0], node), tmp_path, "--dry-run") == 65
    assert (
        "'session.past' is no column of the design. Did you mean 'session.post'?" in capsys.readouterr().err
    )


def test_a_condition_that_one_participant_lacks_costs_only_what_needs_it(tmp_path, capsys):
    data = make_three_conditions(tmp_path / "data", n_subjects=2)
    for path in (data / "sub-02/func").glob("*_events.tsv"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line for line in lines if "\tb\t" not in line) + "\n")
    nodes = [NODES[0], make_node(SUBJECT, Name="both"), NODES[5]]
    edges = [edge("run", "both"), edge("run", "conditions", contrast=[A, B])]
    assert run_app(data, make_model(*nodes, Edges=edges), tmp_path) == 0
    maps = (tmp_path / "out/sub-02/func").glob("*_stat-effect_statmap.nii.gz")
    names = {path.name.split("_node-")[1].split("_stat")[0] for path in maps}
    assert {name for name in names if not name.startswith("run_")} == {
        "both_contrast-trialTypeA",
        "both_contrast-trialTypeC",
    }
    said = "sub-02 conditions: not made: aMinusB: no trial_type.b here"
    assert said in capsys.readouterr().err
    alone = tmp_path / "alone"
    alone.mkdir()
    assert run_app(data, make_model(*nodes, Edges=edges), alone, "--participant-label", "02") == 0
    assert said in capsys.readouterr().err
