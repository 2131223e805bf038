"""What a contrast asks, in words."""

import numpy as np
import pytest
from saved_records import make

from bidsapp.outputs.saved.group import GroupContrastRecord
from bidsapp.report.sections.contrast.hypothesis import find_hypothesis, list_names

HOSTILE = '<b>x</b> & "y"'


def ask(rows, *, test="t", weights=None, name="k", inputs="faces", subjects=(), **more):
    """Return the hypothesis of a contrast whose rows are group -> cell -> weight."""
    estimand = {"text": "", "weights": rows, "subjects": dict(subjects)}
    record = {"name": name, "test": test, "weights": weights or {"intercept": 1.0}, "estimand": estimand}
    return find_hypothesis(make(GroupContrastRecord, **record | {"input_contrast": inputs} | more))


def words(found):
    sides = [" ".join(filter(None, [side.verb, side.phrase])) for side in (found.above, found.below)]
    return found.kind, found.subject, *sides, found.quantity


def test_a_mean_of_a_contrast_that_is_known_by_its_name_alone():
    found = ask([{"all subjects": {"faces": 1.0}}])
    assert words(found) == ("mean", "The effect of faces", "is above zero", "is below zero", "mean")
    assert (
        find_hypothesis(
            make(GroupContrastRecord, name="k", test="t", weights={"intercept": 1.0}, input_contrast=HOSTILE)
        ).subject
        == f"The effect of {HOSTILE}"
    )


def test_a_mean_of_a_difference_says_between_what():
    found = ask([{"all subjects": {"faces": 1.0}}], input_weights={"face": 1.0, "house": -1.0})
    than = "for face than for house"
    assert words(found) == (
        "difference", "The response", f"is higher {than}", f"is lower {than}", "difference",
    )  # fmt: skip
    assert found.conditions == ({"face": 1.0, "house": -1.0},)
    turned = ask([{"all subjects": {"faces": -1.0}}], input_weights={"face": 1.0, "house": -1.0})
    assert turned.above.phrase == "higher for house than for face"


def test_a_mean_of_one_condition_is_a_response():
    found = ask([{"a": {"faces": 0.5}, "b": {"faces": 0.5}}], input_weights={HOSTILE: 1.0})
    assert words(found)[:3] == ("mean", f"The response to {HOSTILE}", "is above zero")


def test_a_mean_of_some_groups_says_of_which():
    everybody = {"group.patient": 3, "group.control": 4}
    found = ask([{"group.patient": {"faces": 1.0}}], input_weights={"face": 1.0}, subjects=everybody)
    assert found.subject == "The response to face in patient"
    paired = {"face": 1.0, "house": -1.0}
    found = ask([{"group.control": {"faces": 1.0}}], input_weights=paired, subjects=everybody)
    assert found.subject == "The response in control"
    both = [{"group.control": {"faces": 0.5}, "group.patient": {"faces": 0.5}}]
    assert ask(both, input_weights={"face": 1.0}, subjects=everybody).subject == "The response to face"


def test_conditions_within_subjects_are_read_out_by_their_signs():
    row = {"A": 0.25, "B": 0.25, "C": 0.25, "D": 0.25, "E": -0.5, "F": -0.5}
    found = ask([{"all subjects": row}], inputs=None)
    assert found.above.phrase == "higher for A, B, C and D than for E and F"
    assert found.conditions == (pytest.approx(row),)


@pytest.mark.parametrize("first", ["patient", "control"])
def test_groups_are_compared_in_the_direction_of_the_effect(first):
    signs = {"group.patient": 1.0, "group.control": -1.0}
    order = sorted(signs, key=lambda name: first not in name)
    found = ask(
        [{name: {"faces": signs[name]} for name in order}], input_weights={"face": 1, "scrambled": -1}
    )
    assert words(found) == (
        "groups", "The response to face against scrambled", "is higher in patient than in control",
        "is lower in patient than in control", "difference",
    )  # fmt: skip


def test_an_interaction_of_groups_and_conditions_is_a_difference_of_groups_in_a_difference():
    rows = [{"old": {"A": -1.0, "B": 1.0}, "young": {"A": 1.0, "B": -1.0}}]
    found = ask(rows, inputs=None)
    assert words(found)[:3] == ("groups", "The response to A against B", "is higher in young than in old")


def test_what_is_neither_a_mean_nor_a_difference_is_called_by_its_name():
    for rows in (
        [{"all subjects": {"A": 1.0, "B": -0.5}}],
        [{"old": {"A": 1.0, "B": -1.0}, "young": {"A": 1.0, "B": 1.0}}],
        [{"old": {"A": 1.0}, "young": {"A": -0.5}}],
        [{"all subjects": {"A": -1.0}}],
    ):
        assert words(ask(rows, inputs=None)) == (
            "other", "The effect k", "is above zero", "is below zero", "effect",
        )  # fmt: skip


def test_a_slope_rises_and_falls_with_its_covariate():
    found = ask([{}], weights={"age": 1.0}, input_weights={"face": 1.0})
    assert words(found) == ("slope", "The response to face", "rises with age", "falls with age", "slope")
    assert ask([{}], weights={"age": -1.0}).above.phrase == "falls with age"
    several = ask([{}], weights={"age": 1.0, "age:patient": 0.5})
    assert words(several)[:3] == ("slope", "The slope age + 0.5 age:patient", "is above zero")


def test_f_has_no_direction():
    rows = [{"all subjects": {"A": 1.0, "B": -1.0}}, {"all subjects": {"B": 1.0, "C": -1.0}}]
    found = ask(rows, test="F", weights=[{}, {}], name="stimulus", inputs=None)
    assert words(found)[:3] == ("F", "The conditions", "differ (stimulus)")
    assert not found.has_direction
    assert len(found.conditions) == 2
    groups = [{"x": {"f": 1.0}, "y": {"f": -1.0}}, {"y": {"f": 1.0}, "z": {"f": -1.0}}]
    assert words(ask(groups, test="F", weights=[{}, {}], name="site"))[1:3] == ("The groups", "differ (site)")
    means = [{"x": {"f": 1.0}}, {"y": {"f": 1.0}}]
    assert words(ask(means, test="F", weights=[{}, {}]))[1:3] == (
        "At least one of the 2 effects of k",
        "is not zero",
    )
    one_level_left_out = [{"all subjects": {"A": 1, "B": -1}}, {"all subjects": {"C": 1, "D": -1}}]
    custom = ask(one_level_left_out, test="F", weights=[{}, {}], name="pairs", inputs=None)
    assert words(custom)[1:3] == ("At least one of the 2 contrasts of pairs", "is not zero")
    slopes = ask([{}, {}], test="F", weights=[{"age": 1.0}, {"iq": 1.0}])
    assert slopes.subject == "At least one of the 2 slopes of k"


def test_an_interaction_is_no_main_effect():
    first, second = np.eye(3)[:-1] - np.eye(3)[1:], np.array([[1.0, -1.0]])
    cells = [f"{a}{b}" for a in "xyz" for b in "12"]
    rows = {"a": np.kron(first, [[0.5, 0.5]]), "a x b": np.kron(first, second)}
    found = {
        name: ask(
            [{"all subjects": dict(zip(cells, row, strict=True))} for row in weights.tolist()],
            test="F", weights=[{}, {}], name=name, inputs=None,
        )
        for name, weights in rows.items()
    }  # fmt: skip
    assert words(found["a"])[1:3] == ("The conditions", "differ (a)")
    interaction = ("The effects of a and b", "depend on each other (interaction)")
    assert words(found["a x b"])[1:3] == interaction
    slopes = ask([{}, {}], test="F", weights=[{}, {}], name="age x group")
    assert words(slopes)[1] == "The effects of age and group"


def test_a_conjunction_is_of_all_its_members():
    found = find_hypothesis(make(GroupContrastRecord, name="both", test="z", group_contrast="A and B"))
    assert words(found)[1:4] == ("The effects of A and B", "are both above zero", "are both below zero")
    several = make(GroupContrastRecord, name="all", test="z", group_contrast="A and B and C")
    assert find_hypothesis(several).above.phrase == "all above zero"


def test_names_are_read_out_and_many_are_counted():
    assert list_names([]) == ""
    assert list_names("A") == "A"
    assert list_names("AB") == "A and B"
    assert list_names("ABCD") == "A, B, C and D"
    assert list_names("ABCDEF") == "A, B, C and 3 more"
