"""AR(p) noise by restricted likelihood, against the exact values of dense matrices; see maps/README.md."""

from pathlib import Path

import numpy as np
import pytest

from bidsapp.records.maps import Contrast
from bidsapp.stats.noise.lagged_design import make_lagged_design
from bidsapp.stats.noise.residual_sums import make_residual_sums
from bidsapp.stats.noise.restricted_likelihood import estimate_z
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.glm import estimate_t, fit_run_glm
from bidsapp.stats.run.sums import accumulate

TOLERANCE = 1e-5
# Effect and variance in percent by `ar1-reml` of two series of designs a and h, with and without every
# 13th volume from the 6th on, by the version before restricted likelihood of higher orders came.
FIRST_ORDER = {
    ("a", False): ((0.153958126145, 0.224584429051), (0.0778733509335, 0.0486341448643)),
    ("a", True): ((0.199894776921, 0.207389663712), (0.0828573743651, 0.0547385557026)),
    ("h", False): ((0.802976586516, 0.0244823645903), (0.0675365871169, 0.0700699716937)),
    ("h", True): ((0.666715377604, 0.208764095835), (0.0761287090585, 0.0847353145208)),
}


@pytest.fixture(scope="module")
def maps():
    return np.load(Path(__file__).parent / "maps" / "run_noise.npz")


def first_column(matrix):
    return Contrast("c", "t", tuple(map(str, range(matrix.shape[1]))), np.eye(matrix.shape[1])[:1])


@pytest.mark.parametrize("name", "abcdefgh")
def test_every_number_is_that_of_dense_matrices(maps, name):
    matrix, series = maps[f"{name}_x"] * 1e-6, maps[f"{name}_y"] * 1e-6
    exact = {key: maps[f"{name}_{key}"] for key in ("z", "effect", "variance", "k", "dof")}
    inside, order = maps[f"{name}_inside"], exact["z"].shape[1]
    sums = accumulate([series], make_time_model(matrix), n_lags=order, scaling="none")
    design = make_lagged_design(sums.model, order)
    z = estimate_z(make_residual_sums(sums, design), design, np.arange(series.shape[1]))
    estimate = estimate_t(fit_run_glm(sums, noise_model="auto"), first_column(matrix))
    np.testing.assert_allclose(z[inside], exact["z"][inside], atol=TOLERANCE)
    error = (estimate.effect - exact["effect"]) / np.sqrt(exact["variance"])
    np.testing.assert_allclose(error[inside], 0.0, atol=TOLERANCE)
    corrected = exact["variance"] * (1 + 2 * exact["k"])
    np.testing.assert_allclose(estimate.variance[inside], corrected[inside], rtol=TOLERANCE)
    np.testing.assert_allclose(estimate.dof[inside], exact["dof"][inside], rtol=TOLERANCE)


@pytest.mark.parametrize(("name", "dropped"), FIRST_ORDER)
def test_the_first_order_on_a_grid_is_what_it_was(maps, name, dropped):
    matrix, series = maps[f"{name}_x"] * 1e-6, maps[f"{name}_y"][:, :2] * 1e-6
    keep = np.arange(len(matrix)) % 13 != (5 if dropped else -1)
    sums = accumulate([series + 100], make_time_model(matrix, keep), n_lags=1)
    estimate = estimate_t(fit_run_glm(sums, noise_model="ar1-reml"), first_column(matrix))
    effect, variance = FIRST_ORDER[name, dropped]
    np.testing.assert_allclose(estimate.effect, effect, rtol=1e-9)
    np.testing.assert_allclose(estimate.variance, variance, rtol=1e-9)
