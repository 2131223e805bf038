"""A run from its file to its maps: the stream against everything in memory and in double precision."""

import nibabel as nib
import numpy as np
import pytest

from bidsapp.inputs.images.series import open_series
from bidsapp.participant.noise_smoothing import make_smoother
from bidsapp.records.maps import Contrast, Geometry
from bidsapp.stats.noise.models import count_lags
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.glm import estimate_t, fit_run_glm
from bidsapp.stats.run.sums import accumulate

SHAPE, N_VOLUMES = (9, 8, 7), 90
RELATIVE = 1e-8
CASES = {
    "int16": ("<i2", None, 1000.0),
    "uint16": ("<u2", None, 20000.0),
    "float32": ("<f4", None, 1000.0),
    "big-endian int16": (">i2", None, 1000.0),
    "big-endian float32": (">f4", None, 1000.0),
    "scaled int16": ("<i2", (0.037, 512.5), 1000.0),
    "zero mean": ("<f4", None, 0.0),
    "large mean": ("<f4", None, 1e6),
}


@pytest.fixture
def matrix(rng):
    return np.column_stack([rng.normal(size=(N_VOLUMES, 5)), np.ones(N_VOLUMES)])


def write(path, rng, matrix, dtype, scaling, mean):
    noise = rng.normal(size=(*SHAPE, N_VOLUMES)) * 15 + 5 * matrix[:, 0] - 3 * matrix[:, 2]
    header = nib.Nifti1Header(endianness=dtype[0])
    values = mean + noise
    if mean == 0.0:
        values -= values.mean(axis=3, keepdims=True)
    stored = values if scaling is None else (values - scaling[1]) / scaling[0]
    image = nib.Nifti1Image(
        np.round(stored).astype(dtype) if dtype[1] in "iu" else stored.astype(dtype), np.eye(4), header
    )
    image.set_data_dtype(np.dtype(dtype))
    if scaling is not None:
        image.header.set_slope_inter(*scaling)
        image = nib.Nifti1Image(values, np.eye(4), image.header)
        image.header.set_slope_inter(*scaling)
    nib.save(image, path)


@pytest.mark.parametrize("noise_model", ["ar1-reml", "ar1", "ar2"])
def test_smoothed_coefficients_vary_less(rng, matrix, noise_model):
    geometry = Geometry(np.ones(SHAPE, bool), np.eye(4))
    series = 500 + rng.normal(size=(N_VOLUMES, geometry.n_points)) * 10
    sums = accumulate([series], make_time_model(matrix), n_lags=count_lags(noise_model))
    rough = fit_run_glm(sums, noise_model=noise_model)
    smoother = make_smoother(geometry, 4.0, np.ones(geometry.n_points), np.ones(3))
    smooth = fit_run_glm(sums, noise_model=noise_model, smooth=smoother)
    assert smooth.autocorrelation[0].std() < 0.4 * rough.autocorrelation[0].std()
    # The restricted likelihood is on a grid of 0.01, nilearn's bins are cut towards zero.
    assert smooth.autocorrelation[0].mean() == pytest.approx(rough.autocorrelation[0].mean(), abs=0.02)


@pytest.mark.parametrize("case", CASES)
def test_streaming_equals_double_precision_in_memory(tmp_path, rng, matrix, case):
    path = tmp_path / "bold.nii.gz"
    write(path, rng, matrix, *CASES[case])
    geometry = Geometry(rng.random(SHAPE) < 0.6, np.eye(4))
    series = open_series(path, geometry, n_threads=2)
    sums = accumulate(
        series.blocks(16),
        make_time_model(matrix),
        n_lags=0,
        scaling="none",
        stored=(series.slope, series.intercept),
    )
    weights = np.array([[1.0, 0, -1, 0, 0, 0]])
    ours = estimate_t(fit_run_glm(sums, noise_model="ols"), Contrast("c", "t", tuple("abcdef"), weights))
    data = nib.load(path).get_fdata(dtype=np.float64)[geometry.mask].T
    beta = np.linalg.lstsq(matrix, data)[0]
    sigma_square = np.square(data - matrix @ beta).sum(axis=0) / (N_VOLUMES - 6)
    variance = sigma_square * (weights @ np.linalg.inv(matrix.T @ matrix) @ weights.T)[0, 0]
    np.testing.assert_allclose(ours.effect, (weights @ beta)[0], rtol=RELATIVE)
    np.testing.assert_allclose(ours.variance, variance, rtol=RELATIVE)
