"""Contrasts that can never be made: a fault, or left out one by one."""

import json
import re

import pytest
from documents import contrast, make_node, write_model
from three_conditions import CONDITIONS, RUN, make_model

from bidsapp.errors import Caution, ModelError, find_cautions
from bidsapp.model.read import parse_model
from bidsapp.plan import make_participant_plan
from bidsapp.settings.parts import ModelOptions, Settings

GOOD = contrast("aMinusB", CONDITIONS[:2], [1, -1])
D = "trial_type.d"
# By the reason that the plan gives.
BAD = {
    "'trial_type.d' is not in X": contrast("bad", ["trial_type.a", D], [1, -1]),
    "has 3 weights for 2 conditions": contrast("bad", CONDITIONS[:2], [1, -1, 0]),
    "has only zeros": contrast("bad", CONDITIONS[:2], [0, 0]),
    "has 2 rows; a t test has one": contrast("bad", CONDITIONS[:2], [[1, 0], [0, 1]]),
    "is 'half'": contrast("bad", CONDITIONS[:1], ["half"]),
    "names a condition twice": contrast("bad", [CONDITIONS[0]] * 2, [1, -1]),
    "Test: is 'z'": contrast("bad", CONDITIONS[:1], [1], "z"),
    "Weights: is missing": {"Name": "bad", "ConditionList": CONDITIONS[:1], "Test": "t"},
    "ConditionList: unknown": contrast("bad", CONDITIONS[:1], [1]) | {"ConditionLists": []},
}


def run_with(*contrasts, **changes):
    return make_node(RUN, Contrasts=list(contrasts), DummyContrasts=None, **changes)


OTHER = contrast("aMinusB", CONDITIONS[:2], [1, -0.5])
UNKNOWN = contrast("aMinusB", ["trial_type.a", "trial_type.q"], [1, -1])


def parse(document, policy="drop"):
    return parse_model(json.dumps(document, indent=1), "m.json", invalid_contrasts=policy)


def names(node):
    return [rule.name for rule in node.contrasts]


@pytest.mark.parametrize("reason", BAD)
def test_contrast_with_a_fault_is_left_out_with_its_reason(reason):
    document = make_model(run_with(GOOD, BAD[reason], contrast("c", ["trial_type.c"], [1])))
    with pytest.raises(ModelError, match=r"Contrasts\[1\]"):
        parse(document, "error")
    model = parse(document)
    assert names(model.nodes[0]) == ["aMinusB", "c"]
    (caution,) = find_cautions(model.notes)
    said = reason.partition(": ")[2] or reason
    assert "'bad' is left out" in caution
    assert said in caution
    assert caution.lines[0] > 1
    assert parse(json.loads(model.text), "error").nodes[0].contrasts == model.nodes[0].contrasts


def test_every_bad_contrast_is_left_out_by_itself():
    document = make_model(run_with(GOOD, *(bad | {"Name": f"bad{k}"} for k, bad in enumerate(BAD.values()))))
    model = parse(document)
    assert names(model.nodes[0]) == ["aMinusB"]
    assert len(find_cautions(model.notes)) == len(BAD)


def test_dummy_contrast_of_an_unknown_column_is_left_out():
    dummy = {"Contrasts": ["trial_type.a", D, "trial_type.b"], "Test": "t"}
    model = parse(make_model(make_node(RUN, DummyContrasts=dummy)))
    assert model.nodes[0].dummy.contrasts == ("trial_type.a", "trial_type.b")


def test_other_faults_are_faults_all_the_same():
    document = make_model(run_with(GOOD, BAD["has only zeros"], Level="Rum"))
    with pytest.raises(ModelError, match="did you mean|Did you mean"):
        parse(document)


@pytest.mark.parametrize("policy", ["error", "drop"])
def test_contrast_that_stands_there_twice_is_taken_once(policy):
    model = parse(make_model(run_with(GOOD, GOOD)), policy)
    assert names(model.nodes[0]) == ["aMinusB"]
    assert [note for note in model.notes if "'aMinusB' stands there twice" in note]


def test_name_of_another_contrast_is_a_fault():
    document = make_model(run_with(GOOD, contrast("aMinusB", CONDITIONS[:2], [1, 1])))
    with pytest.raises(ModelError, match="is the name of an earlier contrast"):
        parse(document, "error")


@pytest.mark.parametrize(
    ("rules", "kept", "reasons"),
    [
        ((GOOD, OTHER), GOOD, ["earlier contrast"]),
        ((OTHER, GOOD), OTHER, ["earlier contrast"]),
        ((GOOD, OTHER, GOOD), GOOD, ["stands there twice", "earlier contrast"]),
        ((GOOD, UNKNOWN), GOOD, ["earlier contrast.*is not in X"]),
        # Which of the two was meant is not known: neither is made.
        ((UNKNOWN, GOOD), None, ["earlier contrast", "is not in X"]),
    ],
)
def test_first_contrast_of_a_name_is_kept_and_the_others_are_left_out(rules, kept, reasons):
    model = parse(make_model(run_with(*rules)), "drop")
    made = [(rule.name, [list(row) for row in rule.weights]) for rule in model.nodes[0].contrasts]
    assert made == ([(kept["Name"], [kept["Weights"]])] if kept else [])
    for reason in reasons:
        assert any(re.search(f"line .*'aMinusB'.*{reason}", note) for note in model.notes)


def settings_of(dataset, document, folder, policy):
    options = ModelOptions(model=str(write_model(document, folder)), invalid_contrasts=policy)
    return Settings(dataset, folder / "out", ("participant",), model=options)


def test_condition_that_occurs_nowhere(three_conditions, tmp_path):
    four = [*CONDITIONS, D]
    model = {"X": [*four, 1], "HRF": {"Variables": four, "Model": "spm"}}
    document = make_model(run_with(GOOD, contrast("aMinusD", ["trial_type.a", D], [1, -1]), Model=model))
    with pytest.raises(ModelError, match=r"no run has 'trial_type.d'. Did you mean 'trial_type.c'"):
        make_participant_plan(settings_of(three_conditions, document, tmp_path, "error"))
    made = make_participant_plan(settings_of(three_conditions, document, tmp_path, "drop"))
    assert {c.name for subject in made.subjects for fit in subject.runs for c in fit.contrasts} == {"aMinusB"}
    (caution,) = [note for note in made.notes if "aMinusD" in note]
    assert isinstance(caution, Caution)
    assert "no run has 'trial_type.d'" in caution


def test_misspelt_confound_stays_a_fault(three_conditions, tmp_path):
    model = {"X": [*CONDITIONS, "trans_xx", 1], "HRF": {"Variables": CONDITIONS, "Model": "spm"}}
    document = make_model(run_with(GOOD, Model=model))
    with pytest.raises(ModelError, match="trans_xx"):
        make_participant_plan(settings_of(three_conditions, document, tmp_path, "drop"))


SUM = contrast("sum", ["trial_type.a", "trial_type.b"], [1, 1])


@pytest.mark.parametrize("other", [D, "nosuch"])
def test_what_is_left_out_has_no_other_note(three_conditions, tmp_path, other):
    """Of an X that has the condition, which no run has, and of one that has it not."""
    bad = contrast("bad", ["trial_type.a", other], [1, 1])
    x = [*CONDITIONS, *([D] if other == D else []), 1]
    run = run_with(SUM, bad, Model={"X": x})
    settings = Settings(
        three_conditions,
        tmp_path,
        ("participant",),
        model=ModelOptions(model=str(write_model(make_model(run), tmp_path)), invalid_contrasts="drop"),
    )
    plan = make_participant_plan(settings)
    for notes in (plan.notes, plan.model.notes):
        assert [note for note in notes if "sums 2" in note and "'sum'" in note]
        assert not [note for note in notes if "sums 2" in note and "'bad'" in note]
    (caution,) = [note for note in find_cautions(plan.notes) if "'bad' is left out" in note]
