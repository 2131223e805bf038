"""How well a design can estimate a contrast."""

import numpy as np
import pytest

from bidsapp.design import diagnostics
from bidsapp.design.contrasts import make_contrasts
from bidsapp.design.diagnostics import Diagnosis
from bidsapp.records.maps import Design
from bidsapp.records.model import ContrastRule
from bidsapp.stats.linear import find_null_space, find_rank


@pytest.fixture
def matrix(rng):
    return np.column_stack([rng.normal(size=(60, 3)), np.ones(60)])


def test_efficiency_is_the_inverse_of_the_variance(matrix):
    rows = np.array([[1.0, -1, 0, 0], [0, 1, 0, 0]])
    expected = 1 / np.trace(rows @ np.linalg.inv(matrix.T @ matrix) @ rows.T)
    assert Diagnosis(matrix).efficiency(rows) == pytest.approx(expected)


def test_inflation_of_two_correlated_columns_is_that_of_their_correlation(matrix):
    pair = matrix[:, [0, 1, 3]]
    pair[:, 1] += pair[:, 0]
    r = np.corrcoef(pair[:, 0], pair[:, 1])[0, 1]
    assert Diagnosis(pair).variance_inflation(np.eye(3)[:1]) == pytest.approx(1 / (1 - r**2))


@pytest.mark.parametrize("measure", [Diagnosis.efficiency, Diagnosis.variance_inflation])
def test_a_nuisance_column_given_twice_changes_nothing(matrix, measure):
    twice = np.column_stack([matrix, 1000.0 * matrix[:, 2]])
    weights = np.array([[1.0, -1, 0, 0]])
    wider = np.array([[1.0, -1, 0, 0, 0]])
    assert measure(Diagnosis(twice), wider) == pytest.approx(measure(Diagnosis(matrix), weights))


def test_what_can_not_be_estimated_has_no_efficiency(matrix):
    twice = np.column_stack([matrix, matrix[:, 0]])
    assert np.isnan(Diagnosis(twice).efficiency(np.eye(5)[:1]))


def test_a_design_is_decomposed_once_for_all_its_contrasts(matrix, monkeypatch):
    decomposed = []
    monkeypatch.setattr(diagnostics, "find_null_space", lambda x: decomposed.append(x) or find_null_space(x))
    twice = np.column_stack([matrix, matrix[:, 0]])
    names = ("a", "b", "c", "intercept", "again")
    rules = [ContrastRule(name, (name,), ((1.0,),), "t", "") for name in names]
    made, skipped = make_contrasts(rules, Design(twice, names))
    assert [contrast.name for contrast in made] == ["b", "c", "intercept"]
    assert skipped == dict.fromkeys(("a", "again"), "it can not be told apart: a, again depend on each other")
    assert len(decomposed) == 1


@pytest.mark.parametrize("size", [1e9, 1e14, 1e30])
def test_units_of_a_column_make_no_other_one_zero(matrix, size):
    large = np.column_stack([matrix, size * matrix[:, 1] ** 2])
    plain = np.column_stack([matrix, matrix[:, 1] ** 2])
    weights = np.array([[1.0, -1, 0, 0, 0]])
    assert Diagnosis(large).inestimable_reason(weights) is None
    assert Diagnosis(large).efficiency(weights) == pytest.approx(Diagnosis(plain).efficiency(weights))
    assert find_rank(large) == 5


def test_rounding_error_is_a_column_of_zeros(matrix):
    matrix[:, 0] *= 1e-17
    reason = Diagnosis(matrix, ["a", "b", "c", "intercept"]).inestimable_reason(np.eye(4)[:1])
    assert reason == "a is zero at every volume or input"
