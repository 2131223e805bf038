"""Names of Dataset nodes are looked up when the participants are planned."""

from dataclasses import replace

import pytest
from documents import contrast, make_node, write_model
from three_conditions import DATASET, RUN, SUBJECT, make_model

from bidsapp.errors import InputError, ModelError, find_cautions
from bidsapp.plan import make_participant_plan
from bidsapp.settings.parts import ModelOptions, Selection, Settings

LEVELS = ["group.patient", "group.control"]


def dataset_node(x, *contrasts, **changes):
    model = {"Type": "glm", "X": x} | changes.pop("Model", {})
    return make_node(DATASET, Model=model, Contrasts=list(contrasts), DummyContrasts=None, **changes)


def plan_one(dataset, tmp_path, node, *, policy="error", edges=None):
    """Plan sub-01 alone, as a job of an array does."""
    more = {"Edges": edges} if edges else {}
    path = write_model(make_model(RUN, SUBJECT, node, **more), tmp_path)
    options = ModelOptions(model=str(path), invalid_contrasts=policy)
    settings = Settings(dataset, tmp_path / "out", ("participant",), model=options)
    return make_participant_plan(replace(settings, selection=Selection(participant_label=("01",))))


WRONG = {
    "'agee'. Did you mean 'age'": dataset_node([1, "agee"], contrast("age", ["agee"], [1])),
    "'group.controls'. Did you mean 'group.control'": dataset_node(
        ["group.patient", "group.controls"], contrast("d", ["group.patient", "group.controls"], [1, -1])
    ),
    "'group.patients' is no column": dataset_node([1, "group"], contrast("d", ["group.patients"], [1])),
    "GroupBy: 'grouped'": dataset_node([1], contrast("m", [1], [1]), GroupBy=["contrast", "grouped"]),
    "does not tell them apart": dataset_node([1], contrast("m", [1], [1]), GroupBy=[]),
    "'aged' is no variable": dataset_node([1], contrast("m", [1], [1]), Model={"Formula": "1 + aged"}),
}


@pytest.mark.parametrize("said", WRONG)
def test_name_that_nobody_has_ends_the_plan_of_one_participant(three_conditions, tmp_path, said):
    with pytest.raises(ModelError) as error:
        plan_one(three_conditions, tmp_path, WRONG[said])
    assert said in str(error.value)
    assert "RepetitionTime" not in str(error.value)


@pytest.mark.parametrize(
    "node",
    [
        dataset_node(LEVELS, contrast("d", LEVELS, [1, -1])),
        dataset_node([1, "age"], contrast("age", ["age"], [1])),
        dataset_node([1], contrast("m", [1], [1]), GroupBy=["contrast", "group"]),
        dataset_node([1], contrast("m", [1], [1]), Model={"Formula": "1 + C(group) + age"}),
    ],
)
def test_levels_of_participants_who_are_not_analysed_count(three_conditions, tmp_path, node):
    made = plan_one(three_conditions, tmp_path, node)
    assert [subject.subject for subject in made.subjects] == ["01"]
    assert not find_cautions(made.notes)


def test_filter_that_nobody_passes_is_a_warning(three_conditions, tmp_path):
    edges = [
        {"Source": "run", "Destination": "subject"},
        {"Source": "subject", "Destination": "dataset", "Filter": {"group": ["patients"]}},
    ]
    made = plan_one(three_conditions, tmp_path, DATASET, edges=edges)
    assert [note for note in find_cautions(made.notes) if "group: patients" in note]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"group": ["Patient"]}, "group 'Patient': Did you mean 'patient'?"),
        ({"subject": ["1O"]}, "subject '1O': There are: 01, 02, 03"),
        ({"group": ["patient"], "sex": ["male"]}, "sex 'male': There are: F, M"),
    ],
)
def test_value_of_a_filter_that_nobody_has_is_told_with_those_that_there_are(
    three_conditions, tmp_path, rule, said
):
    edges = [
        {"Source": "run", "Destination": "subject"},
        {"Source": "subject", "Destination": "dataset", "Filter": rule},
    ]
    cautions = find_cautions(plan_one(three_conditions, tmp_path, DATASET, edges=edges).notes)
    assert any(said in caution for caution in cautions)


def test_contrast_that_can_not_be_made_is_a_warning_where_it_may_be_dropped(three_conditions, tmp_path):
    rules = [contrast("d", LEVELS, [1, -1]), contrast("wrong", ["group.patients"], [1])]
    made = plan_one(three_conditions, tmp_path, dataset_node(["group"], *rules), policy="drop")
    assert [note for note in find_cautions(made.notes) if "wrong will not be made" in note]


@pytest.fixture
def unfetched(three_conditions, tmp_path):
    """Return the dataset with a participants.tsv that is a link to nothing."""
    folder = tmp_path / "bids"
    folder.mkdir()
    for path in three_conditions.iterdir():
        (folder / path.name).symlink_to(path if path.name != "participants.tsv" else "annex/objects/aa")
    return folder


@pytest.mark.parametrize(
    ("key", "value"), [("contrast", "trial_type.a"), ("subject", "01"), ("group", "patient")]
)
def test_table_that_can_not_be_read_ends_the_plan_where_it_is_needed_alone(unfetched, tmp_path, key, value):
    edges = [
        {"Source": "run", "Destination": "subject"},
        {"Source": "subject", "Destination": "dataset", "Filter": {key: [value]}},
    ]
    if key == "group":
        with pytest.raises(InputError, match=r"participants\.tsv is a link to content that is not here"):
            plan_one(unfetched, tmp_path, DATASET, edges=edges)
        return
    (caution,) = find_cautions(plan_one(unfetched, tmp_path, DATASET, edges=edges).notes)
    assert "participants.tsv is a link" in caution
