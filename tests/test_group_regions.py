"""Group tests of regions."""

from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.group_regions import describe_regions, fit_regions
from bidsapp.records import Contrast, GroupDesign

REGIONS = SimpleNamespace(names=["left", "right"], members=[[0], [1, 2]])


def table(means, estimator, groups=None):
    contrast = Contrast("mean", "t", ("1",), np.ones((1, 1)))
    design = GroupDesign(np.ones((len(means), 1)), (contrast,), groups, np.arange(len(means)))
    fitted = SimpleNamespace(estimator=estimator, design=design)
    return describe_regions(REGIONS, fit_regions(fitted, means, "two")[0])


def test_g_of_a_region_counts_the_subjects_that_it_has(rng):
    means = rng.normal(0.5, 1, (12, 2))
    alone = table(means[:6], "ols")
    means[6:, 1] = np.nan
    np.testing.assert_allclose(
        table(means, "ols").loc[1, ["g", "g_low", "g_high"]].astype(float),
        alone.loc[1, ["g", "g_low", "g_high"]].astype(float),
        rtol=1e-9,
    )


@pytest.mark.parametrize("estimator", ["huber", "sandwich"])
def test_a_t_without_one_residual_variance_has_no_g(estimator, rng):
    assert table(rng.normal(0.5, 1, (12, 2)), estimator)[["g", "g_low", "g_high"]].isna().all(axis=None)


def test_a_t_of_variance_groups_has_no_g(rng):
    found = table(rng.normal(0.5, 1, (12, 2)), "ols", np.repeat([1, 2], 6))
    assert found[["g", "g_low", "g_high"]].isna().all(axis=None)
