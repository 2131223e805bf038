"""Run-level maps of SPM12 (no autocorrelation) on points of a simulated run; see maps/README.md."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bidsapp.inputs.images.series import open_series
from bidsapp.records.maps import Contrast, Geometry
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.glm import estimate_f, estimate_t, fit_run_glm
from bidsapp.stats.run.maps import joint_f
from bidsapp.stats.run.sums import accumulate

# SPM writes float32.
TOLERANCE = 1e-5
# SPM filters with the cosines of its 128-s cutoff; as regressors they give the same.
N_COSINES = 3
# SPM multiplies the series by 100 over the grand mean; it has no influence on t and F.
GRAND_MEAN = 100.0


@pytest.fixture(scope="module")
def spm():
    return np.load(Path(__file__).parent / "maps" / "run_level.npz")


@pytest.fixture(scope="module")
def fitted(spm, tmp_path_factory):
    path, matrix = tmp_path_factory.mktemp("run_level") / "bold.nii.gz", spm["design"]
    nib.save(nib.Nifti1Image(spm["bold"].T[:, None, None], np.eye(4)), path)
    geometry = Geometry(np.ones((spm["bold"].shape[1], 1, 1), bool), np.eye(4))
    time = np.arange(len(matrix)) + 0.5
    cosines = np.cos(np.outer(time, np.arange(1, N_COSINES + 1)) * np.pi / len(matrix))
    series = open_series(path, geometry)
    model = make_time_model(np.hstack([matrix, cosines]))
    stored = series.slope, series.intercept
    sums = accumulate(series.blocks(32), model, n_lags=0, scaling="none", stored=stored)
    return fit_run_glm(sums, noise_model="ols")


def contrast(rows, test):
    return Contrast("c", test, tuple("abcdefg"), np.eye(7)[:rows])


def test_t_equals_spm(fitted, spm):
    estimate = estimate_t(fitted, contrast(1, "t"))
    assert estimate.dof == 113
    np.testing.assert_allclose(estimate.effect / np.sqrt(estimate.variance), spm["t"], atol=TOLERANCE)


def test_f_equals_spm(fitted, spm):
    joint = estimate_f(fitted, contrast(3, "F"))
    np.testing.assert_allclose(joint_f(joint.effect, joint.covariance), spm["F"], rtol=TOLERANCE)


def test_effect_and_residual_variance_equal_spm_but_for_its_grand_mean_scaling(fitted, spm):
    effect = estimate_t(fitted, contrast(1, "t")).effect
    scale = np.linalg.lstsq(spm["effect"][:, None], effect)[0][0]
    np.testing.assert_allclose(effect, scale * spm["effect"], atol=TOLERANCE * np.abs(effect).max())
    np.testing.assert_allclose(fitted.sigma_square, scale**2 * spm["residual_variance"], rtol=TOLERANCE)
    assert scale == pytest.approx(fitted.mean.mean() / GRAND_MEAN, rel=0.02)
