"""Messages of errors: their lists."""

import pytest

from bidsapp.design.coding import fit_formula
from bidsapp.design.contrasts import near_match
from bidsapp.errors import (
    MAX_FAULTS_SHOWN,
    MAX_NAMES,
    ModelError,
    by_reason,
    did_you_mean,
    in_lines,
    near_names,
    near_or_known,
    some_names,
    tell_names,
)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "There are none."),
        (["a"], "There are: a."),
        (range(MAX_NAMES), "There are: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11."),
        (range(MAX_NAMES + 1), "There are: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ..."),
    ],
)
def test_names_that_there_are_make_a_sentence(names, said):
    assert tell_names(names) == said


def test_a_formula_without_variables_says_that_there_are_none():
    with pytest.raises(ModelError, match="'age' is no variable here. There are none."):
        fit_formula("age", {}, 3)


def test_hints_are_the_end_of_a_sentence_whatever_is_known():
    assert near_or_known("x", []) == "."
    assert near_or_known("agee", ["age"]) == "; did you mean 'age'?"
    assert near_or_known("AGE", ["age"]) == "; did you mean 'age'?"
    assert near_or_known("x", ["age"]) == "; known are age."
    assert near_or_known("x", ["a", *map(str, range(MAX_NAMES))]).endswith(", 10, ...")
    assert near_match("x", ["intercept"]) == "There are none."


def test_a_question_names_the_nearest_or_says_something_else():
    assert did_you_mean("agee", ["edge", "age"]) == "Did you mean 'age'?"
    assert did_you_mean("agee", ["age"], begin=", did you mean") == ", did you mean 'age'?"
    assert did_you_mean("x", ["age"], "There is age.") == "There is age."


def test_names_beyond_the_first_are_counted():
    assert some_names(["a", 1], 2) == "a, 1"
    assert some_names("abc", 2) == "a, b and 1 more"


def test_names_are_gathered_by_their_reason_in_the_order_met():
    found = by_reason({"b": "late", "a": "gone", "c": "late"})
    assert list(found.items()) == [("late", ["b", "c"]), ("gone", ["a"])]


def test_near_names_go_by_capitals_only_where_they_count():
    assert near_names("AGE", ["age"]) == []
    assert near_names("AGE", ["sex", "age"], fold=True) == ["age"]
    assert near_names("agees", ["age", "ages"], n=2) == ["ages", "age"]


def test_many_faults_are_counted():
    assert in_lines(["a", "b"]) == "a\nb"
    assert in_lines(["a"] * (MAX_FAULTS_SHOWN + 2)).endswith("a\n... and 2 more faults.")
