"""What a model means is what is computed: values of the three-condition dataset, by other routes."""

import numpy as np
import pytest
from three_conditions import (
    CONDITIONS,
    RUN,
    SUBJECT,
    contrast,
    make_model,
    make_node,
    make_three_conditions,
    plan,
    read_map,
    run_app,
)

from bidsapp.errors import ModelError

THIRD = ["1/3"] * 3
A_MINUS_B, MEAN = contrast("aMinusB", CONDITIONS[:2], [1, -1]), contrast("mean", CONDITIONS, THIRD)
ABC = {"contrast": CONDITIONS}
# Six decimals are given.
DIGITS = 6e-7
# Two runs of 116 dof: the variance is that given times 1 to 1 + 2 / 116, for weights that are estimated.
ESTIMATED = 2 / 116


def edge(source, destination, rule=None):
    return {"Source": source, "Destination": destination} | ({"Filter": rule} if rule else {})


@pytest.fixture(scope="module")
def combined(three_conditions, tmp_path_factory):
    """Contrasts made in the run and combined, and made of the combined conditions, of sub-01."""
    folder = tmp_path_factory.mktemp("combined")
    afterwards = make_node(
        SUBJECT, Name="afterwards", GroupBy=["subject"], Model={"X": CONDITIONS}, DummyContrasts=None
    )
    difference = contrast("differ", CONDITIONS, [[1, -1, 0], [0, 1, -1]], "F")
    afterwards["Contrasts"] = [A_MINUS_B, MEAN, difference]
    model = make_model(
        make_node(RUN, Contrasts=[A_MINUS_B, MEAN]),
        make_node(SUBJECT, Name="direct"),
        afterwards,
        Edges=[edge("run", "direct", {"contrast": ["aMinusB", "mean"]}), edge("run", "afterwards", ABC)],
    )
    assert run_app(three_conditions, model, folder, "--participant-label", "01") == 0
    return folder


@pytest.mark.parametrize(
    ("node", "name", "effect", "variance"),
    [
        ("afterwards", "aMinusB", 1.206871, 0.232044),
        ("afterwards", "mean", 1.695168, 0.300717),
        ("direct", "aMinusB", 1.203668, 0.233252),
        ("direct", "mean", 1.707161, 0.304049),
    ],
)
def test_contrasts_of_contrasts_have_the_covariance_of_their_run(combined, node, name, effect, variance):
    assert read_map(combined, node, name, "effect").mean() == pytest.approx(effect, abs=DIGITS)
    found = read_map(combined, node, name, "variance").mean() / variance
    assert 1.0 < found < 1.0 + ESTIMATED


def test_one_voxel_of_contrasts_of_contrasts(combined):
    effect, variance = (
        read_map(combined, "afterwards", "aMinusB", stat)[0, 0, 0] for stat in ("effect", "variance")
    )
    assert effect == pytest.approx(1.884107, abs=DIGITS)
    assert 1.0 < variance / 0.225725 < 1.0 + ESTIMATED


def test_an_f_test_of_contrasts_is_about_one_where_they_hardly_differ(combined):
    # b and c differ little, a and b much: F of both rows is at least half the square of the t of one.
    t = read_map(combined, "afterwards", "aMinusB", "t")
    assert (read_map(combined, "afterwards", "differ", "F") >= np.square(t) / 2 - 1e-6).all()


def test_sessions_in_between_do_not_change_contrasts_of_contrasts(tmp_path):
    data = make_three_conditions(tmp_path / "data", n_subjects=1, sessions=("pre", "post"))
    session = make_node(
        SUBJECT, Level="Session", Name="session", GroupBy=["subject", "session"], Model={"X": CONDITIONS}
    )
    last = make_node(SUBJECT, GroupBy=["subject"], Model={"X": CONDITIONS}, Contrasts=[A_MINUS_B, MEAN])
    last["DummyContrasts"] = {"Test": "t", "Contrasts": ["trial_type.c"]}
    straight = make_node(last, Name="straight")
    model = make_model(
        make_node(RUN, GroupBy=["run", "session", "subject"]),
        session,
        last,
        straight,
        Edges=[edge("run", "session"), edge("session", "subject"), edge("run", "straight")],
    )
    assert run_app(data, model, tmp_path) == 0
    for name in ("aMinusB", "mean", "trialTypeC"):
        for stat in ("effect", "variance", "dof"):
            pair = [read_map(tmp_path, node, name, stat) for node in ("subject", "straight")]
            # The corrections for estimated weights of two steps and of one agree to first order in 1 / dof;
            # an effect near zero is as precise as the others, not relatively so.
            np.testing.assert_allclose(*pair, rtol=3e-3, atol=1e-3)


def test_least_squares_over_contrasts_of_one_run_are_refused(three_conditions, tmp_path):
    literal = {"TaskGLM": {"SubjectLevel": "ols"}}
    node = make_node(SUBJECT, GroupBy=["subject"], Model={"X": CONDITIONS, "Software": literal})
    with pytest.raises(ModelError, match=r"several of them are contrasts of one run.*Run node 'run'"):
        plan(three_conditions, make_model(RUN, node), tmp_path)


def test_boosted_effects_of_one_run_are_not_combined(three_conditions, tmp_path):
    node = make_node(SUBJECT, GroupBy=["subject"], Model={"X": CONDITIONS})
    flags = ["--derivative-boost", "--dry-run", "--participant-label", "01"]
    assert run_app(three_conditions, make_model(RUN, node), tmp_path, *flags) == 64
