"""Mixed effects, sandwich, repeated measures and effect sizes against R; see tables/README.md."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.effect_sizes import standardise
from bidsapp.stats.group.estimators import fit_group
from bidsapp.stats.group.repeated_measures import fit_greenhouse_geisser, fit_wilks, orthonormalise_rows

TABLES = Path(__file__).parent / "tables"
# The tables hold 15 digits.
DIGITS = 1e-12
# effectsize finds the limits with an optimiser that stops at about this.
OPTIMISER = 1e-6


def read(name):
    return pd.read_csv(TABLES / f"{name}.csv")


def make_design(matrix, rows, **more):
    columns = tuple(f"x{index}" for index in range(matrix.shape[1]))
    contrasts = [Contrast(f"c{i}", "t", columns, np.atleast_2d(row)) for i, row in enumerate(rows)]
    return GroupDesign(matrix, tuple(contrasts), **more)


@pytest.mark.parametrize(
    ("estimator", "method", "test"),
    [("fixed", "FE", "z"), ("dl", "DL", "knha"), ("reml", "REML", "knha")],
)
def test_mixed_effects_equal_metafor(estimator, method, test):
    data, table = read("mixed_effects_data"), read("mixed_effects_metafor")
    expected = table[table["method"] == f"{method} {test}"]
    matrix = np.column_stack([np.ones(12), data["g"], data["x"]])
    found = fit_group(
        data[["y"]].to_numpy(), data[["v"]].to_numpy(), make_design(matrix, np.eye(3)), estimator=estimator
    )
    ours = np.array([[e.effect[0], np.sqrt(e.variance[0]), e.p[0]] for e in found])
    np.testing.assert_allclose(ours, expected[["b", "se", "p"]], rtol=DIGITS)
    if estimator != "fixed":
        np.testing.assert_allclose(found[0].maps["tau2"][0], expected["tau2"].iloc[0], rtol=DIGITS)


def test_flame1_has_the_tau2_and_standard_error_of_metafors_wald_test():
    data, table = read("mixed_effects_data"), read("mixed_effects_metafor")
    expected = table[table["method"] == "REML z"]
    matrix = np.column_stack([np.ones(12), data["g"], data["x"]])
    found = fit_group(
        data[["y"]].to_numpy(), data[["v"]].to_numpy(), make_design(matrix, np.eye(3)), estimator="flame1"
    )
    np.testing.assert_allclose([e.variance[0] ** 0.5 for e in found], expected["se"], rtol=DIGITS)
    assert [e.dof[0] for e in found] == [9, 9, 9]


def repeated_measures():
    """Return the values (conditions, subjects) and whether a subject is in the second group."""
    data = read("repeated_measures_data")
    return data["y"].to_numpy().reshape(10, 3).T, data["grp"].to_numpy(bool)[::3]


def test_sandwich_equals_clubsandwich():
    data, table = read("repeated_measures_data"), read("sandwich_clubsandwich")
    expected = table[table["type"] == "CR2"]
    group, one, two = (values.astype(float) for values in (data["grp"], data["cond"] == 1, data["cond"] == 2))
    matrix = np.column_stack([np.ones(30), one, two, group, one * group, two * group])
    design = make_design(matrix, np.eye(6), clusters=data["sub"].to_numpy())
    found = fit_group(data[["y"]].to_numpy(), None, design, estimator="sandwich")
    ours = np.array([[e.effect[0], np.sqrt(e.variance[0]), e.dof[0], e.p[0]] for e in found])
    expected = expected[["b", "se", "df", "p"]].to_numpy()
    np.testing.assert_allclose(ours[:, :2], expected[:, :2], rtol=DIGITS)
    within_a_group, between = ours[:3], ours[3:]
    np.testing.assert_allclose(within_a_group, expected[:3], rtol=DIGITS)
    # Between groups clubSandwich's degrees of freedom suppose equal variances; ours are Welch's, with the
    # variances of all rows of each group.
    values, second = repeated_measures()
    errors = [np.mean(np.var(values[:, rows], axis=1, ddof=1)) for rows in (~second, second)]
    dof = 4 * sum(errors) ** 2 / np.sum(np.square(errors))
    np.testing.assert_allclose(between[:, 2], dof, rtol=1e-10)
    np.testing.assert_allclose(between[:, 3], 2 * stats.t.sf(np.abs(between[:, 0] / between[:, 1]), dof))


@pytest.mark.parametrize(
    ("between", "f", "p_gg", "epsilon_gg", "epsilon_hf"),
    [([0.5, 0.5], 4.2029, 0.03446, 0.99352, 1.320769), ([1, -1], 0.9012, 0.42524, 0.99352, 1.320769)],
    ids=["condition", "group by condition"],
)
def test_greenhouse_geisser_equals_car(between, f, p_gg, epsilon_gg, epsilon_hf):
    values, second = repeated_measures()
    rows = orthonormalise_rows([[1, -1, 0], [0, 1, -1]])
    scores = np.einsum("rc,ci->ri", rows, values)[:, :, None]
    matrix = np.column_stack([~second, second]).astype(float)
    found = fit_greenhouse_geisser(scores, matrix, np.array(between))
    assert found.statistic[0] == pytest.approx(f, abs=5e-5)
    assert found.p[0] == pytest.approx(p_gg, abs=5e-6)
    assert found.epsilon_gg[0] == pytest.approx(epsilon_gg, abs=5e-6)
    assert found.epsilon_hf[0] == pytest.approx(epsilon_hf, abs=5e-7)


def mixed():
    """Return the scores (2, 18, 1) of three cells and the columns of three groups."""
    wide = read("mixed_3groups_3cells").pivot(index=["sub", "group"], columns="cond", values="y")
    groups = wide.index.get_level_values("group").to_numpy()
    values = wide[["A", "B", "C"]].to_numpy()
    return (values[:, :2] - values[:, 1:]).T[:, :, None], (groups[:, None] == ["a", "b", "c"]).astype(float)


@pytest.mark.parametrize(
    ("between", "f", "p", "digit"),
    [
        ([[1, -1, 0], [0, 1, -1]], 6.4971, 0.000788, 1e-6),
        ([[1 / 3, 1 / 3, 1 / 3]], 6.3420, 0.0109, 1e-4),
        ([[5 / 18, 6 / 18, 7 / 18]], 9.3235, 0.0027, 1e-4),
    ],
    ids=["cond x group", "cond, equal weights", "cond, weights by size"],
)
def test_wilks_of_a_mixed_design_equals_car(between, f, p, digit):
    """The size of groups enters by weights; R's type III has equal ones."""
    found = fit_wilks(*mixed(), np.array(between))
    assert found.statistic[0] == pytest.approx(f, abs=5e-5)
    assert found.p[0] == pytest.approx(p, abs=digit / 2)


@pytest.mark.parametrize(("row", "weights"), [(0, [1.0, -1.0]), (1, None)], ids=["two groups", "one sample"])
def test_hedges_g_equals_effectsize(row, weights):
    values, second = repeated_measures()
    matrix = np.column_stack([~second, second]).astype(float) if weights else np.ones((10, 1))
    weights = np.array(weights or [1.0])
    (found,) = fit_group(values[2][:, None], None, make_design(matrix, [weights]))
    ours = standardise(found.statistic, found.dof, found.maps["unit_error"])
    expected = read("hedges_g").iloc[row]
    assert ours.g[0] == pytest.approx(expected["Hedges_g"], rel=DIGITS)
    assert ours.low[0] == pytest.approx(expected["CI_low"], abs=OPTIMISER)
    assert ours.high[0] == pytest.approx(expected["CI_high"], abs=OPTIMISER)
