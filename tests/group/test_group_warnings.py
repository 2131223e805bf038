from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.group.shuffling import Shuffled
from bidsapp.group.warnings import warn_of_data, warn_of_no_variance
from bidsapp.records.maps import Contrast, GroupDesign


def two_groups(n_first, n_second, *more):
    groups = np.repeat(np.eye(2), [n_first, n_second], axis=0)
    columns = ("group.a", "group.b", *(f"x{i}" for i in range(len(more))))
    rows = tuple(f"sub-{i + 1:02d}" for i in range(n_first + n_second))
    return SimpleNamespace(matrix=np.column_stack([groups, *more]), columns=columns, rows=rows)


def warn(effects, design, *, estimator="ols", scheme="permutation", factors=(), **more):
    n, estimates, contrasts = len(design.matrix), more.pop("estimates", ()), more.pop("contrasts", ())
    tests = more.pop("tests", ())
    fitted = SimpleNamespace(
        design=GroupDesign(design.matrix, contrasts, clusters=np.arange(n), **more),
        data=effects,
        stack=SimpleNamespace(effect=effects, variance=None),
        estimator=estimator,
        estimates=estimates,
        tests=tests,
    )
    shuffled = [Shuffled(scheme and SimpleNamespace(scheme=scheme))]
    return warn_of_data(
        SimpleNamespace(design=design, contrast="c", node="n", factors=dict(factors)), fitted, shuffled
    )


@pytest.mark.parametrize("sizes", [(6, 14), (14, 6), (10, 10)])
def test_groups_of_unequal_variance_are_named_with_what_to_do(rng, sizes):
    sd = np.repeat([3.0, 1.0], sizes)[:, None]
    (warning,) = warn(rng.normal(size=(20, 2000)) * sd, two_groups(*sizes))
    assert "residual variance of group.a is" in warning
    assert "that of group.b" in warning
    assert "--variance-groups group" in warning
    ratio = float(warning.split(" times")[0].split()[-1])
    assert ratio == pytest.approx(9, rel=0.15)


@pytest.mark.parametrize("sizes", [(3, 17), (6, 14), (10, 10)])
def test_groups_of_equal_variance_are_not_spoken_of(rng, sizes):
    assert warn(rng.normal(size=(20, 500)), two_groups(*sizes)) == []


def test_a_design_that_allows_for_it_is_not_spoken_of(rng):
    effects = rng.normal(size=(20, 500)) * np.repeat([3.0, 1.0], [6, 14])[:, None]
    assert warn(effects, two_groups(6, 14), variance_groups=np.repeat([1, 2], [6, 14])) == []
    assert warn(effects, two_groups(6, 14), estimator="sandwich") == []


@pytest.mark.parametrize("n", [12, 20, 40])
def test_a_subject_of_extreme_leverage_is_named(rng, n):
    covariate = rng.normal(size=2 * n)
    covariate[3] = 60.0
    (warning,) = warn(rng.normal(size=(2 * n, 300)), two_groups(n, n, covariate))
    assert "sub-04 has a leverage of" in warning


def test_skewed_errors_are_spoken_of_where_signs_are_flipped(rng):
    effects = rng.exponential(size=(16, 800))
    design = SimpleNamespace(matrix=np.ones((16, 1)), columns=("intercept",), rows=tuple("abcdefghijklmnop"))
    (warning,) = warn(effects, design, scheme="sign-flip")
    assert "skewed (mean skewness 1" in warning
    assert warn(effects, design, scheme="permutation") == []
    assert warn(rng.standard_t(3, size=(16, 800)), design, scheme="sign-flip") == []


@pytest.mark.parametrize(
    ("weights", "is_mean"),
    [([1, 0, 0], True), ([0.5, 0.5, 0], True), ([1, -1, 0], False), ([0, 0, 1], False)],
)
def test_skewed_errors_of_a_mean_are_spoken_of_without_shuffles(rng, weights, is_mean):
    design = two_groups(9, 11, rng.normal(size=20) * 1e-6)
    contrast = Contrast("c", "t", design.columns, np.array([weights], float))
    found = warn(rng.exponential(size=(20, 800)), design, scheme=None, contrasts=(contrast,))
    assert [warning for warning in found if "skewed" in warning] == found
    assert bool(found) == is_mean


def test_nothing_is_said_of_voxels_that_nobody_has(rng):
    assert warn(np.full((20, 5), np.nan), two_groups(6, 14)) == []


@pytest.mark.parametrize("sizes", [(8, 12), (12, 8), (10, 10)])
def test_groups_that_only_the_participants_table_knows_are_named(rng, sizes):
    scanner = np.repeat(["scanner.a", "scanner.b"], sizes)
    sex = np.tile(["sex.f", "sex.m"], 10)
    design = SimpleNamespace(
        matrix=np.column_stack([np.ones(20), rng.normal(size=20)]), columns=("1", "age"), rows=scanner
    )
    factors = {"sex": list(sex), "scanner": list(scanner)}
    effects = rng.normal(size=(20, 2000)) * np.where(scanner == "scanner.a", 2.0, 1.0)[:, None]
    (warning,) = warn(effects, design, factors=factors)
    assert "residual variance of scanner.a is" in warning
    assert "--variance-groups scanner (" in warning
    assert warn(rng.normal(size=(20, 2000)), design, factors=factors) == []


def test_each_factor_of_a_design_is_looked_at_by_itself(rng):
    sex = np.tile([0.0, 1.0], 10)
    design = two_groups(8, 12, sex)
    design.columns = (*design.columns[:2], "sex.m")
    (warning,) = warn(rng.normal(size=(20, 2000)) * np.where(sex, 3.0, 1.0)[:, None], design)
    assert "residual variance of sex.m" in warning
    assert "that of the other group" in warning
    assert "--variance-groups sex (" in warning


def test_conservative_tests_are_named(rng):
    covariates = np.column_stack([np.tile([-1.0, 1.0], 10), np.tile([-2, -1, 0, 1, 2], 4)])
    design = SimpleNamespace(
        matrix=np.column_stack([np.ones(20), covariates]), columns=("1", "x", "y"), rows=tuple("a" * 20)
    )
    both = Contrast("both", "F", design.columns, np.eye(3)[1:])
    one = Contrast("x", "t", design.columns, np.eye(3)[1:2])
    groups = np.repeat([1, 2], [8, 12])
    effects = rng.normal(size=(20, 500))
    apart = effects * np.repeat([8.0, 1.0], [8, 12])[:, None]
    (warning,) = warn(apart, design, variance_groups=groups, contrasts=(one, both))
    assert "the tests of x, both are conservative" in warning
    assert warn(rng.normal(size=(20, 500)), design, variance_groups=groups, contrasts=(one, both)) == []
    estimates = [
        SimpleNamespace(contrast=name, dof=np.full(9, dof)) for name, dof in (("x", 4.4), ("y", 12.0))
    ]
    (warning,) = warn(effects, design, estimator="sandwich", estimates=estimates)
    assert "sandwich error: x (4.4)." in warning
    tests = [SimpleNamespace(method=method) for method in ("own error", "sandwich")]
    assert warn(rng.normal(size=(20, 500)), design, estimates=estimates, tests=tests) == []
    (warning,) = warn(rng.normal(size=(20, 500)), design, estimates=estimates[::-1], tests=tests)
    assert "sandwich error: x (4.4)." in warning
    several = effects[:, None].repeat(2, axis=1)
    assert warn(several, design, variance_groups=groups, contrasts=(one, both)) == []
    (warning,) = warn(rng.normal(size=(6, 500)), two_groups(3, 3), estimator="huber")
    assert "4 inputs beyond the rank" in warning


@pytest.mark.parametrize("bad", [0.0, np.inf, np.nan, -1.0])
def test_effects_without_a_variance_are_named_where_the_estimator_needs_one(rng, bad):
    variance = np.ones((12, 500))
    variance[4, :100] = bad
    variance[7, :40] = bad
    fitted = SimpleNamespace(
        estimator="reml", stack=SimpleNamespace(effect=rng.normal(size=(12, 500)), variance=variance)
    )
    rows = [f"sub-{i + 1:02d}" for i in range(12)]
    (warning,) = warn_of_no_variance(rows, fitted)
    assert "share of the voxels: sub-05 20%. reml takes" in warning
    fitted.estimator = "ols"
    assert warn_of_no_variance(rows, fitted) == []


def test_flips_of_a_small_variance_group_are_conservative(rng):
    effects = rng.normal(size=(20, 500))
    three, four = (np.repeat([1, 2], sizes) for sizes in ((3, 17), (4, 16)))
    (warning,) = warn(effects, two_groups(3, 17), variance_groups=three, scheme="sign-flip")
    assert "smallest variance group has 2 degrees of freedom" in warning
    assert warn(effects, two_groups(3, 17), variance_groups=three) == []
    assert warn(effects, two_groups(4, 16), variance_groups=four, scheme="sign-flip") == []
