import numpy as np
import pytest

from bidsapp.design.contrasts import find_column, make_contrasts
from bidsapp.records.maps import Design
from bidsapp.records.model import ContrastRule


@pytest.fixture
def design(rng):
    matrix = np.column_stack([rng.normal(size=(40, 3)), np.ones(40)])
    return Design(matrix, ("a", "b", "c", "intercept"))


def rule(conditions, weights, test="t"):
    return ContrastRule("x", tuple(conditions), tuple(map(tuple, weights)), test, "Nodes[0].Contrasts[0]")


def test_weights_stand_at_their_columns(design):
    (made,), skipped = make_contrasts([rule("ca", [[1, -0.5]])], design)
    assert made.weights.tolist() == [[-0.5, 0.0, 1.0, 0.0]]
    assert skipped == {}


@pytest.mark.parametrize("policy", ["drop", "error"])
def test_contrast_over_an_absent_condition_is_skipped_with_its_name(design, policy):
    made, skipped = make_contrasts([rule("az", [[1, -1]])], design, policy)
    assert made == ()
    assert skipped == {"x": "no z here"}


def test_absent_condition_may_count_as_zero_and_weights_stay(design):
    (made,), _ = make_contrasts([rule("abz", [[1, -0.5, -0.5]])], design, "zero")
    assert made.weights.tolist() == [[1.0, -0.5, 0.0, 0.0]]


def test_absent_condition_without_weight_is_not_needed(design):
    made, skipped = make_contrasts([rule("az", [[1, 0]])], design)
    assert len(made) == 1
    assert skipped == {}


def test_contrast_that_can_not_be_estimated_names_the_columns(design):
    matrix = np.column_stack([design.matrix, design.matrix[:, 0] + design.matrix[:, 1]])
    deficient = Design(matrix, (*design.columns, "d"))
    made, skipped = make_contrasts([rule("a", [[1]])], deficient)
    assert made == ()
    assert skipped["x"] == "it can not be told apart: a, b, d depend on each other"


def test_estimable_contrast_of_a_deficient_design_is_made(design):
    deficient = Design(np.column_stack([design.matrix, design.matrix[:, 0]]), (*design.columns, "d"))
    made, _ = make_contrasts([rule("bc", [[1, -1]])], deficient)
    assert len(made) == 1


@pytest.mark.parametrize("rows", [((1.0, 0.0), (0.0, 1.0)), ((1.0, 1.0), (1.0, -1.0))])
def test_f_test_that_would_lose_a_row_is_not_made(design, rows):
    rule = ContrastRule("any", (design.columns[0], "absent"), rows, "F", "here")
    made, skipped = make_contrasts([rule], design, "zero")
    assert made == ()
    assert skipped == {"any": "no absent here, which an F test can not count as zero"}


def test_rows_of_an_f_test_that_follow_from_others_are_left_out(design):
    (made,), _ = make_contrasts([rule("abc", [[1, -1, 0], [0, 1, -1], [1, 0, -1]], "F")], design)
    assert made.weights.shape == (2, 4)


def test_zero_column_is_named(design):
    zero = Design(np.column_stack([design.matrix, np.zeros(40)]), (*design.columns, "d"))
    _, skipped = make_contrasts([rule("d", [[1]])], zero)
    assert skipped["x"] == "d is zero at every volume or input"


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("rt.1.0", "rt.1"),
        ("rt.1", "rt.1"),
        ("C(g)[T.x]", "C(g)[x]"),
        ("trial_type.rt.1", "rt.1"),
        ("rt.2", None),
        ("trial_type.a", None),
    ],
)
def test_other_spellings_find_their_column(name, column):
    assert find_column(name, ("rt.1", "C(g)[x]", "a")) == column
