"""The smallest effect that is found with a power of .8."""

import numpy as np
import pytest
from scipy import special, stats

from bidsapp.stats.distributions import p_to_t
from bidsapp.stats.group.effect_sizes import LARGE
from bidsapp.stats.group.power import N_NODES, POWER, find_detectable, find_noncentrality


def always(cutoff):
    return lambda dof: np.full(len(dof), cutoff)


@pytest.mark.parametrize(("n", "cutoff"), [(6, 4.0), (12, 3.1), (20, 6.5)])
def test_a_study_with_such_an_effect_finds_it_with_this_power(n, cutoff):
    """Simulated: the means of n values of known spread, against the cut-off."""
    rng, n_studies, spread = np.random.default_rng(n), 40_000, 2.5
    (effect,) = find_detectable(np.array([spread**2 / n]), np.array([n - 1.0]), always(cutoff))
    values = rng.normal(effect, spread, (n_studies, n))
    t = values.mean(axis=1) / (values.std(axis=1, ddof=1) / np.sqrt(n))
    error = np.sqrt(POWER * (1 - POWER) / n_studies)
    assert np.mean(t > cutoff) == pytest.approx(POWER, abs=3.5 * error)
    # The other tail of a two-sided test adds nothing.
    assert not np.any(t < -cutoff)


@pytest.mark.parametrize("dof", [1.0, 2.0, 7.0, 30.0, 1000.0])
def test_the_noncentral_t_lies_beyond_the_cutoff_with_this_power(dof):
    cutoff = np.array([3.0, 4.7, 9.0, 60.0])
    found = find_noncentrality(cutoff, np.full(4, dof))
    np.testing.assert_allclose(special.nctdtr(dof, found, cutoff), 1 - POWER, atol=1e-9)


def test_cutoffs_that_no_table_has_join_on_to_the_others():
    """Bonferroni with one degree of freedom: t of 100,000 and more."""
    for dof in (1.0, 2.0, 5.0):
        below, beyond = find_noncentrality(np.array([0.999, 1.001]) * LARGE, np.full(2, dof))
        assert beyond / below == pytest.approx(1.001 / 0.999, rel=1e-5)
    rng = np.random.default_rng(0)
    cutoff = 2e5
    (found,) = find_noncentrality(np.array([cutoff]), np.array([2.0]))
    t = (rng.normal(found, 1, 40_000)) / np.sqrt(rng.chisquare(2, 40_000) / 2)
    assert np.mean(t > cutoff) == pytest.approx(POWER, abs=0.008)


def test_a_known_variance_is_the_normal_distribution():
    (found,) = find_noncentrality(np.array([3.0]), np.array([np.inf]))
    assert stats.norm.sf(3.0 - found) == pytest.approx(POWER)
    many = find_noncentrality(np.array([3.0]), np.array([1e6]))
    assert many[0] == pytest.approx(found, abs=1e-4)


def test_degrees_of_freedom_of_every_voxel_have_their_own_cutoff():
    rng = np.random.default_rng(1)
    dof = np.concatenate([rng.uniform(1.2, 60, 3000), [np.inf, np.nan]])
    variance = rng.uniform(0.1, 2, len(dof))
    assert len(np.unique(dof)) > N_NODES
    found = find_detectable(variance, dof, lambda values: p_to_t(1e-5, values))
    picked = rng.integers(0, 3000, 200)
    noncentrality = found[picked] / np.sqrt(variance[picked])
    cutoff = stats.t.isf(1e-5, dof[picked])
    exact = find_noncentrality(cutoff, dof[picked])
    np.testing.assert_allclose(noncentrality, exact, rtol=1e-6)
    known = np.isfinite(exact) & (cutoff < LARGE)
    at = special.nctdtr(dof[picked], noncentrality, cutoff)
    np.testing.assert_allclose(at[known], 1 - POWER, atol=1e-5)
    assert found[-2] / np.sqrt(variance[-2]) == pytest.approx(stats.norm.isf(1e-5) + stats.norm.ppf(POWER))
    assert np.isnan(found[-1])


def test_with_less_than_one_degree_of_freedom_nothing_is_ever_found():
    def cutoff(dof):
        return p_to_t(1e-7, dof)

    dof = np.append(np.linspace(0.02, 0.99, 300), np.linspace(1, 5, 300))
    for few in (dof[:2], dof):
        assert np.isnan(find_detectable(np.ones(len(few)), few, cutoff)[:2]).all()
    found = find_detectable(np.ones(600), dof, cutoff)
    assert np.isnan(found[:300]).all()
    np.testing.assert_allclose(found[300:], find_noncentrality(cutoff(dof[300:]), dof[300:]), rtol=1e-6)


def test_without_a_variance_there_is_no_effect_to_find():
    variance, dof = np.array([np.nan, 0.0, 1.0]), np.array([5.0, 5.0, np.nan])
    assert np.isnan(find_detectable(variance, dof, always(4.0))).all()
