import numpy as np
import pandas as pd
import pytest

from bidsapp.design.group.matrix import make_group_design
from bidsapp.errors import ModelError
from bidsapp.records.model import INTERCEPT, ContrastRule, Instruction, Node

TABLE = pd.DataFrame(
    {
        "subject": ["01", "02", "03", "04", "05", "06"],
        "contrast": ["c"] * 6,
        "age": ["20", "30", None, "40", "50", "60"],
        "group": ["p", "c", "p", "c", "p", None],
    },
    dtype=object,
)
ROWS = [f"sub-{label}" for label in TABLE["subject"]]


def node(*x, steps=(), formula=None, conditions=()):
    instructions = tuple(Instruction(name, arguments, "here") for name, arguments in steps)
    rules = (ContrastRule("c", conditions, ((1.0,) * len(conditions),), "t", "here"),) if conditions else ()
    return Node(
        "Dataset",
        "d",
        ("contrast",),
        x,
        transformations=instructions,
        formula=formula,
        contrasts=rules,
        where="Nodes[1]",
    )


def test_mean_of_all_inputs():
    made = make_group_design(node(INTERCEPT), TABLE, ROWS)
    assert made.design.matrix.tolist() == [[1.0]] * 6
    assert made.excluded == {}


def test_input_without_its_covariate_is_left_out_and_said():
    made = make_group_design(node(INTERCEPT, "age"), TABLE, ROWS)
    assert made.kept == (0, 1, 3, 4, 5)
    assert made.excluded == {2: "no value for age"}
    assert made.design.rows == ("sub-01", "sub-02", "sub-04", "sub-05", "sub-06")


def test_centring_is_over_those_who_are_in():
    steps = [("Demean", {"Input": ("age",)})]
    made = make_group_design(node(INTERCEPT, "age", "group", steps=steps), TABLE, ROWS)
    assert made.kept == (0, 1, 3, 4)
    np.testing.assert_allclose(made.design.matrix[:, 1].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(made.design.matrix[:, 1], [-15, -5, 5, 15])


@pytest.mark.parametrize("x", [("group",), (INTERCEPT, "group"), ("subject",)])
def test_name_that_a_factor_took_stands_for_its_levels(x):
    plain, taken = node(*x), node(*x, steps=[("Factor", {"Input": (x[-1],)})])
    plain, taken = (make_group_design(one, TABLE, ROWS) for one in (plain, taken))
    assert taken.design.columns == plain.design.columns
    np.testing.assert_array_equal(taken.design.matrix, plain.design.matrix)
    assert (taken.notes, taken.missing, taken.excluded) == (plain.notes, {}, plain.excluded)


def test_factor_gives_cell_means_without_an_intercept():
    made = make_group_design(
        node("group.p", "group.c", steps=[("Factor", {"Input": ("group",)})]), TABLE, ROWS
    )
    assert made.design.matrix.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]]
    assert made.excluded == {5: "no value for group"}


def test_text_column_beside_an_intercept_has_a_reference_level():
    made = make_group_design(node(INTERCEPT, "group"), TABLE, ROWS)
    assert made.design.columns == (INTERCEPT, "group.p")
    assert any("reference level" in note for note in made.notes)


@pytest.mark.parametrize("conditions", [("group.c", "group.p"), ("c", "p")])
def test_contrast_over_every_level_takes_the_intercept_out(conditions):
    made = make_group_design(node(INTERCEPT, "group", conditions=conditions), TABLE, ROWS)
    assert made.design.columns == ("group.c", "group.p")
    assert made.design.matrix.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0], [0, 1]]
    assert any("there is no intercept" in note for note in made.notes)


def test_contrast_on_the_intercept_keeps_it():
    made = make_group_design(node(INTERCEPT, "group", conditions=(INTERCEPT, "group.c")), TABLE, ROWS)
    assert made.design.columns == (INTERCEPT, "group.c", "group.p")


def test_entity_with_numbers_for_labels_is_a_factor():
    made = make_group_design(node("subject"), TABLE, ROWS)
    assert made.design.columns == tuple(f"subject.{k}" for k in range(1, 7))
    np.testing.assert_array_equal(made.design.matrix, np.eye(6))


def test_entity_that_a_transformation_takes_as_a_number_is_one():
    steps = [("Threshold", {"Input": ("subject",), "Threshold": 3, "Binarize": True})]
    made = make_group_design(node("subject", steps=steps), TABLE, ROWS)
    assert made.design.matrix.ravel().tolist() == [0, 0, 1, 1, 1, 1]


def test_formula_of_powers_without_end_is_refused():
    formula = "1 + age" + "**1" * 300 + "$"
    with pytest.raises(ModelError, match="not of the grammar"):
        make_group_design(node(INTERCEPT, "age", formula=formula), TABLE, ROWS)


def test_formula_with_interaction():
    made = make_group_design(node(INTERCEPT, "age", "group", formula="~ 1 + age * group"), TABLE, ROWS)
    assert made.design.columns == (INTERCEPT, "age", "group[T.p]", "age:group[T.p]")
    assert made.design.matrix.shape == (4, 4)


def test_contrast_names_in_x_tell_contrasts_apart():
    table = pd.DataFrame({"subject": ["01", "01"], "contrast": ["a b", "c"]}, dtype=object)
    made = make_group_design(node("a b", "c"), table, ["1", "2"])
    assert made.design.matrix.tolist() == [[1, 0], [0, 1]]


def test_column_that_nobody_has_is_missing():
    made = make_group_design(node(INTERCEPT, "agee"), TABLE, ROWS)
    assert made.missing == {"agee": "Nodes[1].Model.X"}


@pytest.mark.parametrize(
    "formula",
    [
        "1 + __import__('os').system('true')",
        "1 + age.mean()",
        "1 + {age + 1}",
        "1 + np.log(age)",
        "1 + I(age)",
        "1 + nobody",
        "1 + (((",
    ],
)
def test_formula_with_anything_but_variables_is_refused(formula):
    with pytest.raises(ModelError):
        make_group_design(node(INTERCEPT, "age", "group", formula=formula), TABLE.iloc[:2], ROWS[:2])
