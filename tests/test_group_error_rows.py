"""The table of sizes: a row for every combination that is accepted, each with the design of its label."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmarks.group_error_rows import (
    SIZES,
    Row,
    draw,
    is_accepted,
    make_design,
    make_group_design,
    make_rows,
)
from bidsapp.errors import ModelError, SettingsError
from bidsapp.group.fit import why_not_shuffled
from bidsapp.inference.permutation import lay_out
from bidsapp.records.maps import InferenceOptions
from bidsapp.stats.group.estimators import fit_group
from bidsapp.vocabulary.estimators import ESTIMATORS

PAGE = Path(__file__).parents[1] / "docs" / "group-statistics.md"
SEVERAL = [name for name, sizes in SIZES.items() if len(sizes) > 1]


def lines_of_page():
    """Return the first six cells of each line of the table of sizes."""
    lines = [line.strip("| \n").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return [tuple(cells[:6]) for cells in lines if len(cells) == 10 and cells[0] in SIZES]


def scheme_of(row):
    design = make_group_design(row)
    options = InferenceOptions(n_shuffles=40, scheme=row.scheme, variance_groups=design.variance_groups)
    return lay_out(design.matrix, design.contrasts[0].weights, options).scheme.options.scheme


def test_page_has_every_row_once():
    assert lines_of_page() == [row.words() for row in make_rows()]


@pytest.mark.parametrize(("estimator", "grouped"), [*product(ESTIMATORS, (False, True))])
def test_estimators_with_variance_groups_are_those_that_the_app_fits(estimator, grouped):
    row = Row("two groups", estimator=estimator, variance_groups=grouped)
    effects, variances = draw(row, 4, np.random.default_rng(0))
    if is_accepted(row):
        assert np.isfinite(
            fit_group(effects, variances, make_group_design(row), estimator=estimator)[0].p
        ).all()
    else:
        with pytest.raises(ModelError, match="variance groups"):
            fit_group(effects, variances, make_group_design(row), estimator=estimator)


@pytest.mark.parametrize(("design", "grouped"), [*product(SIZES, (False,)), *product(SEVERAL, (True,))])
def test_schemes_without_a_row_are_that_of_auto(design, grouped):
    if design.endswith("two scanners") and not grouped:
        return
    for scheme in ("sign-flip", "permutation", "both"):
        row = Row(design, variance_groups=grouped, scheme=scheme)
        if is_accepted(row):
            assert scheme_of(row) == scheme != scheme_of(Row(design, variance_groups=grouped))
        elif scheme == "permutation" and design.startswith("mean"):
            with pytest.raises(SettingsError, match="nothing to shuffle"):
                scheme_of(row)
        elif scheme != "both":
            assert scheme_of(Row(design, variance_groups=grouped)) == scheme


def test_only_means_are_shuffled_with_other_estimators():
    shuffled = {
        row.design for row in make_rows() if row.estimator != "ols" and not why_not_shuffled(*about(row))
    }
    assert shuffled <= {"mean", "mean of two scanners"}


def about(row):
    return make_group_design(row), row.estimator


@pytest.mark.parametrize("name", SIZES)
def test_design_is_what_its_label_says(name):
    matrix, weights, groups = make_design(Row(name))
    assert np.bincount(groups).tolist() == list(SIZES[name])
    effective = weights @ np.linalg.pinv(matrix)
    means = [effective[:, groups == group].sum(axis=1) for group in range(len(SIZES[name]))]
    if name.startswith("mean"):
        np.testing.assert_allclose(effective, 1 / len(groups))
    elif name.startswith("covariate"):
        np.testing.assert_allclose(effective.sum(axis=1), 0, atol=1e-12)
        assert matrix.shape[1] == 2
        assert len(np.unique(matrix[:, 1])) == len(groups)
    else:
        np.testing.assert_allclose(np.array(means).T @ np.ones(len(means)), 0, atol=1e-12)
        assert np.linalg.matrix_rank(np.array(means)) == len(means) - 1 == len(weights)
    assert matrix.shape[1] == len(SIZES[name]) + 1 if "beside" in name else True


@pytest.mark.parametrize("missing", [False, True])
def test_errors_are_what_the_label_says(missing):
    effects, _ = draw(Row("two groups", "sd 3 and 1", missing=missing), 20_000, np.random.default_rng(0))
    spread = np.nanstd(effects, axis=1)
    np.testing.assert_allclose(spread, np.repeat([3.0, 1.0], [8, 12]), rtol=0.05)
    assert np.isnan(effects).any(axis=1).sum() == 3 * missing
