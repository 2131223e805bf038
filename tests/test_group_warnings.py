from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.group_inference import Shuffled
from bidsapp.group_warnings import warn_of_data
from bidsapp.records import GroupDesign


def two_groups(n_first, n_second, *more):
    groups = np.repeat(np.eye(2), [n_first, n_second], axis=0)
    columns = ("group.a", "group.b", *(f"x{i}" for i in range(len(more))))
    rows = tuple(f"sub-{i + 1:02d}" for i in range(n_first + n_second))
    return SimpleNamespace(matrix=np.column_stack([groups, *more]), columns=columns, rows=rows)


def warn(effects, design, *, estimator="ols", scheme="permutation", **more):
    n = len(design.matrix)
    fitted = SimpleNamespace(
        design=GroupDesign(design.matrix, (), clusters=np.arange(n), **more),
        data=effects,
        stack=SimpleNamespace(effect=effects),
        estimator=estimator,
    )
    shuffled = [Shuffled(SimpleNamespace(scheme=scheme))]
    return warn_of_data(SimpleNamespace(design=design, contrast="c", node="n"), fitted, shuffled)


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


def test_nothing_is_said_of_voxels_that_nobody_has(rng):
    assert warn(np.full((20, 5), np.nan), two_groups(6, 14)) == []
