import numpy as np
import pytest

from bidsapp.design.transformers.expressions import evaluate_query, linear_weights
from bidsapp.errors import ModelError

COLUMNS = {
    "gain": np.array([1.0, 2.0, 3.0]),
    "parametric gain": np.array([1.0, 5.0, 9.0]),
    "kind": np.array(["a", "b", "c"], object),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gain > 1", [False, True, True]),
        ("kind == 'a'", [True, False, False]),
        ("kind==a", [True, False, False]),
        ("kind in ['a', 'c'] and not gain == 3", [True, False, False]),
        ("`parametric gain` >= 5 or gain < 2", [True, True, True]),
        ("parametric gain > 4", [False, True, True]),
        ("1 < gain <= 3", [False, True, True]),
        ("gain + 1 == 2 & kind != 'b'", [True, False, False]),
    ],
)
def test_query_selects_rows(text, expected):
    assert evaluate_query(text, COLUMNS).tolist() == expected


@pytest.mark.parametrize(
    "text",
    [
        "gain.__class__",
        "__import__('os')",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "gain[0]",
        "gain ** 9",
        "gain >",
        "a" * 600,
        "(" * 300,
        "f'{gain}'",
    ],
)
def test_query_that_is_more_than_a_query_is_refused(text):
    with pytest.raises(ModelError):
        evaluate_query(text, COLUMNS)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("a - b", {"a": 1, "b": -1}),
        ("(a + b) / 2 - c d", {"a": 0.5, "b": 0.5, "c d": -1}),
        ("0.5*a + 0.5*b - `c d`", {"a": 0.5, "b": 0.5, "c d": -1}),
        ("-a", {"a": -1}),
        ("a + a", {"a": 2}),
        ("e-f_g", {"e-f_g": 1}),
        ("2 * (a - (b - a))", {"a": 4, "b": -2}),
    ],
)
def test_linear_expression_gives_weights(text, weights):
    assert linear_weights(text, ["a", "b", "c d", "e-f_g"]) == weights


@pytest.mark.parametrize(
    "text", ["a * b", "1 / a", "a + 1", "a - a", "3", "a ** 2", "x", "a(b)", "a / 0", ""]
)
def test_expression_that_is_not_linear_is_refused(text):
    with pytest.raises(ModelError):
        linear_weights(text, ["a", "b"])
