"""Contrasts at some distance from the centre of a bin, against the same where the voxel is the centre."""

import numpy as np
import pytest

from bidsapp.stats.noise.expansion import Expansion, invert_information
from bidsapp.stats.noise.lagged_design import make_lagged_design
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.noise.uncertainty import assess_noise, weigh_f, weigh_t

CENTRE, FARTHER = np.array([0.4, 0.2, -0.1]), np.array([0.06, -0.04, 0.05])


@pytest.fixture
def design(rng):
    walks = rng.normal(size=(80, 3)).cumsum(axis=0)
    return make_lagged_design(make_time_model(np.column_stack([walks, np.arange(80) // 9 % 2])), 3)


def assess(design, partials, centre):
    return assess_noise(design, np.zeros(1, int), partials[None], centre[None], share=1.0)


def weigh(design, rows, partials, centre):
    """Return variance, dof and covariance of the rows of one voxel."""
    uncertainty = assess(design, partials, centre)
    variance, dof = weigh_t(uncertainty, rows, np.ones((len(rows), 1)))
    return variance[0], dof[0], weigh_f(uncertainty, rows)[0][..., 0]


def differences(design, rows, share):
    """Return the relative errors of a variance and of the covariance at a share of the distance."""
    partials = CENTRE + share * FARTHER
    far, own = assess(design, partials, CENTRE), assess(design, partials, partials)
    sizes = [weigh_t(u, rows, np.ones((len(rows), 1)))[0] for u in (far, own)]
    matrices = [weigh_f(u, rows)[0] for u in (far, own)]
    return abs(sizes[0] / sizes[1] - 1)[0], np.abs(matrices[0] - matrices[1]).max() / matrices[1].max()


@pytest.mark.parametrize("n_rows", [1, 2])
def test_the_error_of_a_variance_is_of_third_order(rng, design, n_rows, monkeypatch):
    rows = rng.normal(size=(n_rows, 4))
    without_excess(monkeypatch)
    far, near = differences(design, rows, 1.0), differences(design, rows, 0.5)
    assert all(1e-12 < half < whole / 6 for whole, half in zip(far, near, strict=True))
    assert max(far) < 5e-3


def without_excess(monkeypatch):
    """k is that of the centre and no part of the expansion."""
    from bidsapp.stats.noise import uncertainty as noise_uncertainty

    whole = noise_uncertainty._assess_process

    def assess_process(*args):
        inverse, excess, *rest = whole(*args)
        return inverse, np.zeros_like(excess), *rest

    monkeypatch.setattr(noise_uncertainty, "_assess_process", assess_process)


def test_degrees_of_freedom_follow_the_voxel(rng, design):
    rows = rng.normal(size=(1, 4))
    partials = CENTRE + FARTHER
    expanded = weigh(design, rows, partials, CENTRE)[1]
    own, centre = (weigh(design, rows, p, p)[1] for p in (partials, CENTRE))
    assert abs(expanded - own) < 0.3 * abs(centre - own)


def test_a_voxel_beyond_the_expansion_gets_what_its_centre_has(rng, design):
    rows = rng.normal(size=(1, 4))
    far = weigh(design, rows, np.array([-0.95, -0.9, 0.9]), CENTRE)
    assert np.isfinite(far[0])
    assert far[0] > 0


def test_the_unit_of_rows_is_that_of_the_variance(rng, design):
    rows = rng.normal(size=(2, 4))
    plain = weigh(design, rows, CENTRE + FARTHER, CENTRE)
    large = weigh(design, 1e9 * rows, CENTRE + FARTHER, CENTRE)
    np.testing.assert_allclose(large[0], 1e18 * plain[0], rtol=1e-9)
    np.testing.assert_allclose(large[1], plain[1], rtol=1e-9)
    np.testing.assert_allclose(large[2], 1e18 * plain[2], rtol=1e-9)


def test_a_voxel_too_far_for_the_expansion_has_the_variance_of_its_centre():
    """Of two rows, so that an inverse with a negative pivot could pass for a variance."""
    forms = np.zeros((1, 2, 2, 2, 2))
    forms[0, :, :, 0, 0] = [[2.0, 0.5], [0.5, 1.0]]
    forms[0, 1, 1, 1, 1] = -100.0
    sizes, none = np.linalg.inv(forms[..., 0, 0]), np.zeros((1, 1))
    expansion = Expansion(forms, sizes, sizes, none, none[None], none, none[None])
    partials = np.array([[0.01], [0.5]])
    inverse = invert_information(expansion, np.zeros(2, int), partials)
    near = np.linalg.inv(forms[0, :, :, 0, 0] + np.diag([0.0, -100.0 * 0.01**2]))
    np.testing.assert_allclose(inverse[..., 0], near, rtol=1e-12)
    np.testing.assert_array_equal(inverse[..., 1], sizes[0])
