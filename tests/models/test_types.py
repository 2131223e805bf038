"""Types of models, weights and responses: what they are read as, and what is said of it."""

import json

import pytest
from documents import contrast, make_node, write_model
from three_conditions import (
    CONDITIONS,
    DATASET,
    DIGITS,
    ESTIMATED,
    RUN,
    SUBJECT,
    make_model,
    plan,
    read_map,
    run_app,
)

from bidsapp.errors import ModelError
from bidsapp.model.__main__ import main as command
from bidsapp.model.read import parse_model
from bidsapp.plan.explain import explain_model


def parse(*nodes, **changes):
    return parse_model(json.dumps(make_model(*nodes, **changes)))


def said(model):
    return " ".join(model.notes)


@pytest.fixture(scope="module")
def combined(three_conditions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("meta")
    model = make_model(RUN, make_node(SUBJECT, Model={"Type": "Meta"}))
    assert run_app(three_conditions, model, folder, "--participant-label", "01") == 0
    return folder


@pytest.mark.parametrize(
    ("node", "more", "effect", "variance"),
    [
        ("run", "_run-1", 2.633489, 0.916606),
        ("run", "_run-2", 2.732276, 0.697658),
        ("subject", "", 2.690855, 0.392071),
    ],
)
def test_meta_weighs_runs_by_precision(combined, node, more, effect, variance):
    label = "trialTypeA"
    assert read_map(combined, node, label, "effect", more=more).mean() == pytest.approx(effect, abs=DIGITS)
    found = read_map(combined, node, label, "variance", more=more).mean() / variance
    assert 1 - 1e-6 < found < 1 + (1e-6 if node == "run" else ESTIMATED)


def test_glm_of_subjects_is_said_to_be_fixed_effects():
    assert "SubjectLevel 'ols'" in said(parse(RUN, make_node(SUBJECT, Model={"Type": "glm"})))
    assert "SubjectLevel" not in said(parse(RUN, SUBJECT))
    asked = {"Type": "glm", "Software": {"TaskGLM": {"SubjectLevel": "ols"}}}
    assert "SubjectLevel" not in said(parse(RUN, make_node(SUBJECT, Model=asked)))


@pytest.mark.parametrize(
    ("node", "written", "test", "expected"),
    [
        (SUBJECT, "glm", "FEMA", "meta"),
        (SUBJECT, "Meta", "t", "meta"),
        (SUBJECT, "GLM", "t", "glm"),
        (SUBJECT, None, "FEMA", "meta"),
        (SUBJECT, None, "t", "glm"),
        (DATASET, "glm", "FEMA", "meta"),
        (RUN, "meta", "t", "glm"),
        (RUN, None, "FEMA", "glm"),
    ],
)
def test_type_that_is_read_otherwise_has_a_note(node, written, test, expected):
    changed = make_node(node, DummyContrasts=node["DummyContrasts"] | {"Test": test}, Model={"Type": written})
    if written is None:
        del changed["Model"]["Type"]
    model = parse(changed)
    assert model.nodes[0].type == expected
    assert [note for note in model.notes if f"{expected!r}" in note and "Type" in note]


def test_one_contrast_of_another_test_keeps_the_type():
    rules = [contrast("m", [1], [1], "FEMA"), contrast("other", [1], [2], "t")]
    node = make_node(DATASET, Contrasts=rules, DummyContrasts=None)
    assert parse(node).nodes[0].type == "glm"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("FixedEffects", "Did you mean 'meta'"),
        ("fixed_effects", "Did you mean 'meta'"),
        ("mlm", "Random effects of a model are not computed"),
        ("MetaX", "Did you mean 'meta'"),
    ],
)
def test_type_that_there_is_not_names_the_one_that_is_meant(kind, words):
    with pytest.raises(ModelError, match=words):
        parse(RUN, make_node(SUBJECT, Model={"Type": kind}))


@pytest.mark.parametrize("key", ["VarianceComponents", "ErrorDistribution"])
def test_random_effects_are_refused_as_such(key):
    with pytest.raises(ModelError, match=f"{key}: random effects of a model are not computed"):
        parse(RUN, make_node(SUBJECT, Model={key: [{"Name": "subject"}]}))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (["1/3", "-1/2", "1 / 3"], (1 / 3, -1 / 2, 1 / 3)),
        ([".5", "-.5", 0], (0.5, -0.5, 0.0)),
        (["0.25", 1, "-1.25"], (0.25, 1.0, -1.25)),
        ([[1, -1, 0]], (1.0, -1.0, 0.0)),
    ],
)
def test_weights_are_numbers_and_fractions(weights, expected):
    node = make_node(RUN, Contrasts=[contrast("c", CONDITIONS, weights)])
    assert parse(node).nodes[0].contrasts[0].weights == (pytest.approx(expected),)


@pytest.mark.parametrize("weight", [".", "1/", "/2", "1..5", "0x1", "1e5", "", "1/0", "--1", "²"])
def test_text_that_is_no_number_is_no_weight(weight):
    with pytest.raises(ModelError, match="a weight is a number or a fraction"):
        parse(make_node(RUN, Contrasts=[contrast("c", CONDITIONS[:1], [weight])]))


@pytest.mark.parametrize(
    ("weights", "test", "noted"),
    [
        ([1, 1, 1], "t", True),
        (["1/3"] * 3, "t", False),
        ([1, 1, -1], "t", False),
        ([[1, 1, 1]], "F", False),
        ([2, 2, 2], "t", False),
    ],
)
def test_sum_of_conditions_is_noted(weights, test, noted):
    node = make_node(RUN, Contrasts=[contrast("c", CONDITIONS, weights, test)])
    assert ("contrast 'c' sums 3 conditions" in said(parse(node))) is noted


def test_remarks_are_notes_with_lines_and_stand_in_the_model_of_today():
    nodes = [
        make_node(RUN, Contrasts=[contrast("c", CONDITIONS, [1, 1, 1])]),
        make_node(SUBJECT, Model={"Type": "glm"}),
    ]
    text = json.dumps(make_model(*nodes), indent=1)
    model, lines = parse_model(text), text.splitlines()
    where = {
        words: lines[note.lines[0] - 1]
        for note in model.notes
        for words in ("sums", "'glm'")
        if words in note
    }
    assert "Weights" in where["sums"]
    assert '"Type": "glm"' in where["'glm'"]
    assert all(note in explain_model(model) for note in model.notes)
    again = parse_model(model.text)
    assert not again.notes
    assert (again.text, again.nodes) == (model.text, model.nodes)


@pytest.mark.parametrize("delays", ["None", [0, 1, 2], None])
def test_delays_beside_another_response_are_not_used(delays):
    steps = [
        {"Name": "Factor", "Input": ["trial_type"]},
        {"Name": "Convolve", "Input": CONDITIONS, "Model": "spm", "FIRDelays": delays},
    ]
    steps = {"Transformer": "pybids-transforms-v1", "Instructions": steps}
    run = make_node(RUN, Transformations=steps)
    del run["Model"]["HRF"]
    model = parse(run)
    assert model.nodes[0].transformations[1].arguments["FIRDelays"] == ()
    assert "FIRDelays are of the model 'fir' alone" in said(model)
    response = {"Variables": CONDITIONS, "Model": "spm", "Parameters": {"fir_delays": delays}}
    model = parse(make_node(RUN, Model={"HRF": response}))
    assert model.nodes[0].hrf.fir_delays == ()
    assert "fir_delays are of the model 'fir' alone" in said(model)


@pytest.mark.parametrize(
    "options", [{"HighPassFilterCutoffHz": 0.008}, {"high_pass_filter_cutoff_secs": 125}]
)
def test_filter_of_125_s_has_three_cosines_in_240_s(three_conditions, tmp_path, options):
    made = plan(three_conditions, make_model(make_node(RUN, Model={"Options": options})), tmp_path)
    names = made.subjects[0].runs[0].design.columns
    assert [name for name in names if name.startswith("drift")] == ["drift_1", "drift_2", "drift_3"]


def test_period_in_place_of_a_frequency_is_refused():
    with pytest.raises(ModelError, match="0.007812"):
        parse(make_node(RUN, Model={"Options": {"HighPassFilterCutoffHz": 128}}))


def test_name_of_a_contrast_on_the_intercept_is_not_lost(three_conditions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("named")
    rules = [contrast("patients", [1], [1]), contrast("mean", [1], [1])]
    for name, rule in zip(("named", "plain"), rules, strict=True):
        node = make_node(DATASET, Contrasts=[rule], DummyContrasts=None)
        run = make_node(RUN, DummyContrasts={"Contrasts": CONDITIONS[:1], "Test": "t"})
        out = folder / name
        out.mkdir()
        flags = ("--n-permutations", "8", "--statistics", "height")
        levels = ("participant", "group")
        assert run_app(three_conditions, make_model(run, SUBJECT, node), out, *flags, levels=levels) == 0
    found = {
        kind: {path.name.partition("_contrast-")[2].partition("_")[0] for path in paths}
        for kind in ("named", "plain")
        for paths in [(folder / kind / "out" / "group").rglob("*_stat-effect_statmap.nii.gz")]
    }
    assert found == {"named": {"trialTypeAPatients"}, "plain": {"trialTypeA"}}


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (DATASET, "named after what comes in, too ('<contrast> patients')"),
        (SUBJECT, "what comes in keeps its name, and 'patients' names no output"),
    ],
)
def test_names_on_the_intercept_are_told_by_check_and_dry_run(
    three_conditions, tmp_path, capsys, node, words
):
    named = make_node(node, Contrasts=[contrast("patients", [1], [1])], DummyContrasts=None)
    document = make_model(RUN, *([SUBJECT] if node is DATASET else []), named)
    command(["check", str(write_model(document, tmp_path))])
    assert words in capsys.readouterr().out
    flags = ("--dry-run", "--participant-label", "01")
    assert run_app(three_conditions, document, tmp_path, *flags) == 0
    assert words in capsys.readouterr().out
    assert parse_model(parse(*document["Nodes"]).text).notes == ()


def test_a_name_that_says_no_more_has_no_note():
    for name in ("mean", "trial_type.a"):
        node = make_node(DATASET, Contrasts=[contrast(name, [1], [1])], DummyContrasts=None)
        run = make_node(RUN, Contrasts=[contrast("trial_type.a", CONDITIONS[:1], [1])])
        assert "on the intercept" not in said(parse(run, SUBJECT, node))
