"""Ways to write one model that people's files have: all give the values of its plain form."""

import json

import pytest
from documents import contrast, make_node
from three_conditions import CONDITIONS, DIGITS, ESTIMATED, RUN, SUBJECT, make_model, read_map, run_app

A_MINUS_B, ALL = contrast("aMinusB", CONDITIONS[:2], [1, -1]), contrast("all", CONDITIONS, ["1/3"] * 3)
# Effect and variance of sub-01, by other routes.
VALUES = {"aMinusB": (1.203668, 0.233252), "all": (1.707161, 0.304049)}

BOTH = [A_MINUS_B, ALL]
WITH_BOTH = make_node(RUN, Contrasts=BOTH, DummyContrasts=None)


def spell(spelling):
    """Return a run node whose contrasts name conditions in another way."""
    renamed = [dict(item, ConditionList=[spelling(name) for name in item["ConditionList"]]) for item in BOTH]
    return make_node(WITH_BOTH, Contrasts=renamed)


FACTOR = [{"Name": "Factor", "Input": ["trial_type"]}]
EDGE = {"Source": "run", "Destination": "subject"}
FORMS = {
    "plain": make_model(WITH_BOTH, SUBJECT),
    "contrasts beside X [1]": make_model(RUN, make_node(SUBJECT, Contrasts=BOTH, DummyContrasts=None)),
    "contrasts beside the X of the runs": make_model(
        RUN,
        make_node(
            SUBJECT,
            Model={"X": [*CONDITIONS, 1]},
            Transformations={"Transformer": "pybids-transforms-v1", "Instructions": FACTOR},
            Contrasts=BOTH,
            DummyContrasts=None,
        ),
    ),
    "an older word for 1": make_model(
        make_node(RUN, Model={"X": [*CONDITIONS, "Intercept"]}, Contrasts=BOTH, DummyContrasts=None),
        make_node(SUBJECT, Model={"X": ["@intercept"]}),
    ),
    "grouped by subject": make_model(
        RUN, make_node(SUBJECT, GroupBy=["subject"], Contrasts=BOTH, DummyContrasts=None)
    ),
    "dummies that name what comes in": make_model(
        make_node(RUN, Contrasts=BOTH),
        make_node(SUBJECT, DummyContrasts={"Test": "t", "Contrasts": ["aMinusB", "all"]}),
    ),
    "a plain list of dummies": make_model(
        make_node(RUN, Contrasts=BOTH), make_node(SUBJECT, DummyContrasts=["aMinusB", "all"])
    ),
    "one value in place of a list": make_model(
        WITH_BOTH, make_node(SUBJECT, Model={"X": 1}), Edges=EDGE, Input={"task": "t"}
    ),
    "no name": {key: value for key, value in make_model(WITH_BOTH, SUBJECT).items() if key != "Name"},
    "conditions without their column": make_model(spell(lambda name: name.split(".")[1]), SUBJECT),
    "conditions in capitals": make_model(spell(str.upper), SUBJECT),
    "version as a number": make_model(WITH_BOTH, SUBJECT, BIDSModelVersion=1.0),
    "version with a letter": make_model(WITH_BOTH, SUBJECT, BIDSModelVersion="v1.0.0"),
    "edges of older drafts": make_model(WITH_BOTH, SUBJECT, Edges=[{"Src": "run", "Dst": "subject"}]),
    "responses of older drafts": make_model(
        dict(WITH_BOTH, Model={"Type": "glm", "X": [*CONDITIONS, 1], "HRF_variables": CONDITIONS}), SUBJECT
    ),
    "a template in part": make_model(
        make_node(WITH_BOTH, Transformations={"Transformer": "", "Instructions": []}),
        make_node(SUBJECT, Model={"Software": "", "Options": {"Mask": ""}}),
    ),
    "comments": make_model(WITH_BOTH, SUBJECT) | {"$schema": "model.schema.json", "_comment": "of mine"},
}


@pytest.mark.parametrize("document", FORMS.values(), ids=FORMS)
def test_other_forms_have_the_values_of_the_plain_one(three_conditions, tmp_path, document):
    assert run_app(three_conditions, document, tmp_path, "--participant-label", "01") == 0
    for name, (effect, variance) in VALUES.items():
        assert read_map(tmp_path, "subject", name, "effect").mean() == pytest.approx(effect, abs=DIGITS)
        assert 1.0 < read_map(tmp_path, "subject", name, "variance").mean() / variance < 1.0 + ESTIMATED
    assert len(list((tmp_path / "out").glob("sub-01/func/*_node-subject_*_stat-effect_statmap.nii.gz"))) == 2
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "out/logs").glob("*sub-01*.json"))
    assert bool(record["model"]["notes"]) == (document not in (FORMS["plain"], FORMS["comments"]))
