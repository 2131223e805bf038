import numpy as np
import pytest

from bidsapp.errors import InputError
from bidsapp.stats.noise.time_model import lagged, make_time_model
from bidsapp.stats.run.sums import accumulate

# Sums in double precision in another order.
RELATIVE = 1e-11
# Sums in single precision, relative to the length of the series.
SINGLE = 1e-6


@pytest.fixture
def matrix(rng):
    return np.column_stack([rng.normal(size=(40, 4)), np.ones(40)])


@pytest.fixture
def series(rng):
    return 900 + 10 * rng.normal(size=(40, 5000))


def blocks(series, size):
    return (series[start : start + size] for start in range(0, len(series), size))


def check_sums(sums, matrix, series, k):
    """Check the sums of lag 0 or k with the design: in double precision, or of the residuals in single."""
    basis = make_time_model(matrix).basis
    expected = (basis.T @ lagged(series, k)).T
    if k < sums.cross.shape[1]:
        np.testing.assert_allclose(sums.cross[:, k], expected, rtol=1e-8, atol=1e-7)
        return
    residuals = series - basis @ (basis.T @ series)
    length = np.linalg.norm(series, axis=0).max()
    expected = (basis.T @ lagged(residuals, k)).T
    np.testing.assert_allclose(sums.departures[:, k - 1], expected, atol=SINGLE * length)


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.parametrize(("n_lags", "k"), [(0, 0), (1, 0), (1, 1), (3, 0), (3, 1), (3, 3)])
def test_sums_equal_those_of_the_whole_series(matrix, series, size, n_lags, k):
    model = make_time_model(matrix)
    sums = accumulate(blocks(series, size), model, n_lags=n_lags, scaling="none", n_threads=2)
    about = series - sums.mean
    check_sums(sums, matrix, about, k)
    np.testing.assert_allclose(sums.squares[k], np.sum(about * lagged(about, k), axis=0), rtol=1e-9)
    np.testing.assert_allclose(sums.head[0], about[:n_lags], atol=1e-9)
    np.testing.assert_allclose(sums.tail[0], about[len(about) - n_lags :], atol=1e-9)
    np.testing.assert_allclose(sums.mean, series.mean(axis=0), rtol=RELATIVE)
    np.testing.assert_allclose(sums.deviation, series.std(axis=0, ddof=1), rtol=RELATIVE)


@pytest.mark.parametrize("scaling", ["percent", "none"])
@pytest.mark.parametrize("columns", [5, 4])
@pytest.mark.parametrize("n_lags", [1, 2])
def test_sums_are_those_of_the_scaled_series(matrix, series, scaling, columns, n_lags):
    matrix = matrix[:, :columns]
    sums = accumulate(blocks(series, 8), make_time_model(matrix), n_lags=n_lags, scaling=scaling)
    y = sums.unit * (series - sums.offset)
    expected = 100 * (series / series.mean(axis=0) - 1) if scaling == "percent" else series
    np.testing.assert_allclose(y + sums.level, expected, rtol=1e-8, atol=1e-8)
    for k in range(n_lags + 1):
        check_sums(sums, matrix, y, k)
        np.testing.assert_allclose(sums.squares[k], np.sum(y * lagged(y, k), axis=0), rtol=1e-8)
    np.testing.assert_allclose(sums.totals, y.sum(axis=0), rtol=1e-8, atol=1e-7)
    np.testing.assert_allclose(sums.head[0], y[:n_lags], atol=1e-8)
    np.testing.assert_allclose(sums.tail[0], y[-n_lags:], atol=1e-8)


@pytest.mark.parametrize("scaling", ["percent", "none"])
def test_stored_units_are_turned_into_those_of_the_image(matrix, series, scaling):
    model = make_time_model(matrix)
    plain = accumulate(blocks(0.5 * series - 20, 8), model, scaling=scaling)
    stored = accumulate(blocks(series, 8), model, scaling=scaling, stored=(0.5, -20.0))
    for name in ("cross", "totals", "squares", "head", "tail", "unit", "offset", "mean", "deviation"):
        np.testing.assert_allclose(getattr(stored, name), getattr(plain, name), rtol=1e-9, atol=1e-8)


def test_constant_voxels_have_exactly_zero_sums(matrix, series):
    # The mean of seven equal numbers is another one for some of these.
    series[:, 1:] = 0.1 * np.arange(1, series.shape[1])
    sums = accumulate(blocks(series, 7), make_time_model(matrix))
    np.testing.assert_array_equal(sums.deviation[1:], 0.0)
    np.testing.assert_allclose(sums.mean[1:], series[0, 1:], rtol=1e-6)


def test_dropped_and_own_column_volumes_stay_out_of_the_mean(matrix, series):
    keep = np.ones(40, bool)
    keep[5] = False
    spike = np.eye(40)[:, [9]]
    sums = accumulate(blocks(series, 7), make_time_model(np.hstack([matrix, spike]), keep))
    kept = np.delete(series, [5, 9], axis=0)
    np.testing.assert_allclose(sums.mean, kept.mean(axis=0), rtol=RELATIVE)
    np.testing.assert_allclose(sums.deviation, kept.std(axis=0, ddof=1), rtol=RELATIVE)


def test_another_number_of_volumes_is_refused(matrix, series):
    with pytest.raises(InputError, match="39 volumes and the design 40 rows"):
        accumulate([series[:-1]], make_time_model(matrix))
