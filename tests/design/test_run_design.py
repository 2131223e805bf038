import json
import warnings

import numpy as np
import pandas as pd
import pytest
from documents import make_document, run_node, transformations
from nilearn.glm.first_level import make_first_level_design_matrix

from bidsapp.design.run import make_run_design
from bidsapp.model.read import parse_model

# Equality with nilearn that the designs must reach.
TOLERANCE = 1e-6
FRAME_TIMES = np.arange(150) * 2.0 + 0.93


def node_of(x, steps=(), **model):
    node = run_node(x, Transformations=transformations(*steps), Model=model)
    return parse_model(json.dumps(make_document(node))).nodes[0]


@pytest.fixture
def events(rng):
    onset = np.sort(rng.uniform(-20, 320, 60))
    return pd.DataFrame(
        {
            "onset": onset,
            "duration": rng.choice([0.0, 0.5, 4.0, 30.0], 60),
            "trial_type": rng.choice(["a", "b", "c"], 60),
            "gain": rng.normal(size=60),
        }
    )


def nilearn_design(events, hrf, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_first_level_design_matrix(FRAME_TIMES, events, hrf_model=hrf, **options)


@pytest.mark.parametrize("base", ["spm", "glover"])
@pytest.mark.parametrize("parts", [(), ("derivative",), ("derivative", "dispersion")])
def test_convolved_columns_are_those_of_nilearn(events, base, parts):
    names = [f"trial_type.{c}{s}" for c in "abc" for s in ("", *(f"_{p}" for p in parts))]
    steps = [
        {"Name": "Factor", "Input": ["trial_type"]},
        {
            "Name": "Convolve",
            "Input": ["trial_type.*"],
            "Model": base,
            "Derivative": "derivative" in parts,
            "Dispersion": "dispersion" in parts,
        },
    ]
    made = make_run_design(node_of([*names, 1], steps), events, None, FRAME_TIMES).design
    table = events.drop(columns="gain")
    expected = nilearn_design(table, " + ".join((base, *parts)), drift_model=None)
    for name in names:
        column = made.matrix[:, made.columns.index(name)]
        np.testing.assert_allclose(column, expected[name.removeprefix("trial_type.")], atol=TOLERANCE, rtol=0)


def test_fir_columns_and_high_pass_are_those_of_nilearn(events):
    hrf = {"Variables": ["trial_type.a"], "Model": "fir", "Parameters": {"fir_delays": [0, 1, 2]}}
    node = node_of(["trial_type.a", 1], HRF=hrf, Options={"HighPassFilterCutoffHz": 0.01})
    made = make_run_design(node, events, None, FRAME_TIMES).design
    table = events[events["trial_type"] == "a"].drop(columns="gain")
    expected = nilearn_design(table, "fir", fir_delays=[0, 1, 2], drift_model="cosine", high_pass=0.01)
    expected = expected.rename(columns=lambda name: f"trial_type.{name}" if name[0] == "a" else name)
    for name in expected.columns.drop("constant"):
        column = made.matrix[:, made.columns.index(name)]
        np.testing.assert_allclose(column, expected[name], atol=TOLERANCE, rtol=0)


def test_modulated_column_is_that_of_nilearn(events):
    steps = [{"Name": "Convolve", "Input": ["gain"]}]
    made = make_run_design(node_of(["gain", 1], steps), events, None, FRAME_TIMES).design
    table = events.assign(modulation=events["gain"], trial_type="gain").drop(columns="gain")
    expected = nilearn_design(table, "spm", drift_model=None)
    np.testing.assert_allclose(made.matrix[:, 0], expected["gain"], atol=TOLERANCE, rtol=0)


def test_response_time_is_the_duration_of_a_trial_regressor(events):
    events["response_time"] = np.linspace(0.3, 2.0, len(events))
    steps = [
        {"Name": "Copy", "Input": ["trial_type"], "Output": ["rt"]},
        {"Name": "Replace", "Input": ["rt"], "Replace": {"a": "all", "b": "all", "c": "all"}},
        {"Name": "Factor", "Input": ["rt"]},
        {"Name": "Assign", "Input": ["response_time"], "Target": ["rt.all"], "TargetAttr": "duration"},
        {"Name": "Convolve", "Input": ["rt.all"]},
    ]
    made = make_run_design(node_of(["rt.all", 1], steps), events, None, FRAME_TIMES).design
    table = events.assign(duration=events["response_time"], trial_type="all")[
        ["onset", "duration", "trial_type"]
    ]
    expected = nilearn_design(table, "spm", drift_model=None)
    np.testing.assert_allclose(made.matrix[:, 0], expected["all"], atol=TOLERANCE, rtol=0)


def test_event_without_response_time_is_left_out_with_a_note(events):
    events["response_time"] = 1.0
    events.loc[3, "response_time"] = np.nan
    steps = [
        {"Name": "Threshold", "Input": ["gain"], "Threshold": -99, "Binarize": True, "Output": ["all"]},
        {"Name": "Assign", "Input": ["response_time"], "Target": ["all"], "TargetAttr": "duration"},
        {"Name": "Convolve", "Input": ["all"]},
    ]
    made = make_run_design(node_of(["all", 1], steps), events, None, FRAME_TIMES)
    table = events.drop(index=3).assign(duration=1.0, trial_type="all")[["onset", "duration", "trial_type"]]
    np.testing.assert_allclose(
        made.design.matrix[:, 0],
        nilearn_design(table, "spm", drift_model=None)["all"],
        atol=TOLERANCE,
        rtol=0,
    )
    assert any("1 of 60 events of 'all' are left out" in note for note in made.notes)


def test_levels_without_a_factor_are_made_as_spm_style_models_expect(events):
    hrf = {"Variables": ["trial_type.a", "trial_type.b"], "Model": "spm"}
    made = make_run_design(node_of(["trial_type.a", "trial_type.b"], HRF=hrf), events, None, FRAME_TIMES)
    assert made.design.columns == ("trial_type.a", "trial_type.b", "intercept")
    assert any("an intercept is added" in note for note in made.notes)


def test_condition_that_the_run_lacks_is_noted_as_missing(events):
    hrf = {"Variables": ["trial_type.a", "trial_type.z"], "Model": "spm"}
    made = make_run_design(node_of(["trial_type.a", "trial_type.z", 1], HRF=hrf), events, None, FRAME_TIMES)
    assert set(made.missing) == {"trial_type.z"}
    assert made.design.columns == ("trial_type.a", "intercept")


@pytest.mark.parametrize("table", [None, pd.DataFrame(), pd.DataFrame({"onset": [], "duration": []})])
def test_run_without_events_misses_its_conditions(table):
    steps = [{"Name": "Factor", "Input": ["trial_type"]}, {"Name": "Convolve", "Input": ["trial_type.a"]}]
    made = make_run_design(node_of(["trial_type.a", 1], steps), table, None, FRAME_TIMES)
    assert "trial_type.a" in made.missing
    assert made.design.columns == ("intercept",)


def test_wildcards_of_x_take_confounds_in_the_order_of_the_file(events, rng):
    confounds = pd.DataFrame(rng.normal(size=(150, 4)), columns=["trans_y", "trans_x", "csf", "rot_x"])
    made = make_run_design(node_of(["trans_?", "rot_*", 1]), events, confounds, FRAME_TIMES)
    assert made.design.columns == ("trans_y", "trans_x", "rot_x", "intercept")
    assert made.confounds == ("trans_y", "trans_x", "rot_x")


def test_formula_of_a_run_makes_products(events):
    steps = [{"Name": "Convolve", "Input": ["gain"]}]
    node = node_of(["gain", "csf"], steps, Formula="0 + gain * csf")
    confounds = pd.DataFrame({"csf": np.linspace(0, 1, 150)})
    made = make_run_design(node, events, confounds, FRAME_TIMES).design
    assert made.columns == ("gain", "csf", "gain:csf", "intercept")
    np.testing.assert_allclose(made.matrix[:, 2], made.matrix[:, 0] * made.matrix[:, 1])


def test_notes_on_the_words_of_a_formula_are_in_its_order(rng):
    names = [f"number{index}" for index in rng.permutation(12)]
    events = pd.DataFrame({"onset": [10.0], "duration": [4.0]} | dict.fromkeys(names, [3.0]))
    node = node_of(names, Formula=" + ".join(["1", *names]))
    notes = make_run_design(node, events, None, np.arange(40) * 2.0).notes
    assert [note.split("'")[1] for note in notes if "not convolved" in note] == names


def test_low_pass_columns_remove_every_frequency_above_the_cut_off(events):
    node = node_of([1], Options={"LowPassFilterCutoffHz": 0.1})
    made = make_run_design(node, events, None, FRAME_TIMES).design
    fast = np.cos(2 * np.pi * 0.2 * np.arange(150) * 2.0)
    residual = fast - made.matrix @ np.linalg.lstsq(made.matrix, fast, rcond=None)[0]
    assert np.linalg.norm(residual) < 0.3 * np.linalg.norm(fast)


def test_column_that_is_not_convolved_is_sampled_as_it_is():
    events = pd.DataFrame({"onset": [10.0], "duration": [4.0], "x": [3.0]})
    made = make_run_design(node_of(["x", 1]), events, None, np.arange(20) * 2.0)
    assert made.design.matrix[:, 0].tolist()[4:8] == [0.0, 1.5, 3.0, 1.5]
    assert any("not convolved" in note for note in made.notes)


@pytest.mark.parametrize(("duration", "expected"), [(0.0, True), (1.0, False)])
def test_events_without_duration_say_what_the_unit_of_their_effect_is(events, duration, expected):
    steps = [{"Name": "Factor", "Input": ["trial_type"]}, {"Name": "Convolve", "Input": ["trial_type.*"]}]
    node = node_of(["trial_type.*", 1], steps)
    made = make_run_design(node, events.assign(duration=duration), None, FRAME_TIMES)
    assert any("have no duration" in note for note in made.notes) is expected
