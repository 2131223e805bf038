import numpy as np
import pytest

from bidsapp.stats import tau2 as module
from bidsapp.stats.tau2 import estimate_tau2, project, restricted_deviance


def test_projection_is_the_one_of_whole_matrices(rng):
    spread = rng.uniform(0.2, 2.0, (9, 3))
    effects = rng.normal(size=(9, 3))
    X = np.linalg.qr(rng.normal(size=(9, 2)))[0]
    found = project(effects, spread, X)
    for voxel in range(3):
        W = np.diag(1 / spread[:, voxel])
        P = W - W @ X @ np.linalg.inv(X.T @ W @ X) @ X.T @ W
        y = effects[:, voxel]
        expected = [y @ P @ y, y @ P @ P @ y, np.trace(P), np.trace(P @ P)]
        ours = [found.q[voxel], found.score_square[voxel], found.trace[voxel], found.information[voxel]]
        np.testing.assert_allclose(ours, expected, rtol=1e-10)


@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e6])
def test_search_ends_in_every_voxel(rng, spread):
    """Few inputs with variances five orders apart are the hardest case for Fisher scoring."""
    variances = spread * 10 ** rng.uniform(-3, 2, (5, 4000))
    effects = rng.normal(0, np.sqrt(variances + spread * 10 ** rng.uniform(-4, 2, 4000)))
    found = estimate_tau2(effects, variances, np.full((5, 1), 5**-0.5))
    assert np.isfinite(found).all()
    assert (found >= 0).all()


def test_the_highest_of_several_maxima_is_found(rng):
    """Variances over five orders of magnitude, as the pain studies have."""
    variances = 10 ** rng.uniform(-1, 4, (10, 300))
    effects = rng.normal(0, np.sqrt(variances + 10 ** rng.uniform(-1, 4, 300)))
    basis = np.full((10, 1), 10**-0.5)
    found = estimate_tau2(effects, variances, basis)
    grid = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 1500)])
    lowest = np.min([restricted_deviance(effects, variances + value, basis) for value in grid], axis=0)
    assert (restricted_deviance(effects, variances + found, basis) <= lowest + 1e-8).all()


def test_blocks_do_not_change_the_estimates(rng, monkeypatch):
    variances = rng.uniform(0.1, 1.0, (8, 50))
    effects = rng.normal(0, 1, (8, 50))
    basis = np.full((8, 1), 8**-0.5)
    whole = estimate_tau2(effects, variances, basis)
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 8 * 7)
    np.testing.assert_allclose(estimate_tau2(effects, variances, basis), whole, rtol=1e-9, atol=1e-12)
