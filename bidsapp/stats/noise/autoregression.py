"""Autoregressive processes: coefficients, partial autocorrelations, autocovariances; points gathered in bins.

Words: ``partials`` are partial autocorrelations; any between -1 and 1 give a stationary process, so they,
not the coefficients, are cut, smoothed and averaged, as z = atanh(partial), whose sampling error is about the
same everywhere. The innovations have variance 1. ``filter`` is (1, -coefficients).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from bidsapp.records.arrays import Labels, Maps, Matrices, Matrix, Numbers

# Sums may be taken in any order, and what is divided by zero is not used: the compiler makes vectors of them.
vectorised = numba.njit(  # type: ignore[call-overload]  # its types lack an option
    cache=True, nogil=True, fastmath={"reassoc", "contract"}, error_model="numpy", no_cfunc_wrapper=True
)

# Rounds of moving the centres of bins; the spread within bins changes by under 1 % after these.
ROUNDS = 10
# Points count for a centre by exp(-squared distance / so many times the mean one to the nearest). In plain
# k-means, with 0, a point that changes its bin in the last bit moves the centres of all others in the end.
SOFTNESS = 0.2
# Voxels a bin that the centres are found from.
SAMPLE = 20
# Step of central differences: their error is of its square, and rounding over it.
DIFFERENCE = 1e-5
# Points whose distances to all centres are held at a time: they stay in the processor's cache.
CHUNK = 1024


def to_partials(autocovariances: Maps, largest: float) -> Maps:
    """Return partial autocorrelations by the Levinson-Durbin recursion, cut to +-largest.

    Parameters
    ----------
    autocovariances : ndarray, shape (order + 1, n_voxels)

    Returns
    -------
    ndarray, shape (order, n_voxels)
    """
    order = len(autocovariances) - 1
    variance = np.array(autocovariances[0])
    coefficients = np.zeros((order, variance.size))
    partials = np.zeros((order, variance.size))
    for k in range(order):
        rest = autocovariances[k + 1] - np.sum(coefficients[:k] * autocovariances[k:0:-1], axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            partial = np.nan_to_num(rest / variance)
        partials[k] = np.clip(partial, -largest, largest)
        coefficients[:k] -= partials[k] * coefficients[:k][::-1]
        coefficients[k] = partials[k]
        variance *= 1 - np.square(partials[k])
    return partials


def to_coefficients(partials: Matrix) -> Matrix:
    """Return AR coefficients from partial autocorrelations, both shape (n_bins, order)."""
    coefficients = np.zeros_like(partials)
    for k in range(partials.shape[1]):
        partial = partials[:, k : k + 1]
        coefficients[:, :k] -= partial * coefficients[:, :k][:, ::-1]
        coefficients[:, k : k + 1] = partial
    return coefficients


def make_autocovariance(partials: Numbers) -> Numbers:
    """Return the autocovariances of lags 0 to the order, from partial autocorrelations, shape (order,)."""
    order = len(partials)
    variance = np.cumprod(np.concatenate([[1.0], 1.0 - np.square(partials)]))
    # Relative to lag 0: rho_(k+1) = partial_k * variance left after k lags + what k lags predict of it.
    rho = np.ones(order + 1)
    coefficients = np.zeros(order)
    for k in range(order):
        rho[k + 1] = partials[k] * variance[k] + coefficients[:k] @ rho[k:0:-1]
        coefficients[:k] -= partials[k] * coefficients[:k][::-1]
        coefficients[k] = partials[k]
    autocovariance: Numbers = rho / variance[-1]
    return autocovariance


def make_bins(values: Matrix, n_bins: int, n_threads: int = 1) -> tuple[Matrix, Labels]:
    """Return the centres of bins, see ``find_centres``, and the bin of every point, shape (n_points,)."""
    centres = find_centres(values, n_bins)
    bins = np.arange(len(values)) if len(values) <= n_bins else find_nearest(values, centres, n_threads)
    return centres, bins


def find_centres(values: Matrix, n_bins: int, weights: Numbers | None = None) -> Matrix:
    """Gather points in bins by soft k-means from a fixed start: centres are a smooth function of the points.

    Parameters
    ----------
    values : ndarray, shape (n_points, n_dimensions)
    weights : ndarray, shape (n_points,), or None
        How much each point counts.

    Returns
    -------
    ndarray, shape (n_bins or n_points, n_dimensions)
        Points that are no more than the bins have a bin each.
    """
    if len(values) <= n_bins:
        return values
    step = max(1, len(values) // (SAMPLE * n_bins))
    sample: Matrix = values[::step]
    counted = np.ones((len(sample), 1)) if weights is None else weights[::step, None]
    centres: Matrix = sample[np.linspace(0, len(sample) - 1, n_bins).astype(int)]
    lengths = np.square(sample).sum(axis=1, keepdims=True)
    for _ in range(ROUNDS):
        distances = lengths + np.square(centres).sum(axis=1) - 2.0 * (sample @ centres.T)
        nearest = distances.min(axis=1, keepdims=True)
        scale = SOFTNESS * np.average(nearest, weights=counted)
        share = np.exp((nearest - distances) / max(scale, np.finfo(float).tiny))
        share *= counted / share.sum(axis=1, keepdims=True)
        total = share.sum(axis=0)[:, None]
        centres = np.divide(share.T @ sample, total, out=centres.copy(), where=total > 0)
    return np.asarray(centres)


def find_nearest(values: Matrix, centres: Matrix, n_threads: int = 1) -> Labels:
    """Return the index of the nearest centre of every point."""
    nearest = np.empty(len(values), np.intp)
    half, turned = 0.5 * np.square(centres).sum(axis=1), np.ascontiguousarray(centres.T)

    def find(start: int) -> None:
        part = slice(start, start + CHUNK)
        nearest[part] = np.argmin(half - values[part] @ turned, axis=1)

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(find, range(0, len(values), CHUNK)))
    return nearest


def group(bins: Labels) -> Iterator[tuple[int, Labels]]:
    """Yield every bin in use and its voxels."""
    # Short integers are sorted by counting.
    order = np.argsort(bins.astype(np.int16), kind="stable")
    numbers, starts = np.unique(bins[order], return_index=True)
    yield from zip(numbers, np.split(order, starts[1:]), strict=True)


def split_bins(bins: Labels, size: int) -> Iterator[tuple[int, Labels]]:
    """Yield every bin in use that is not -1 and its voxels, in pieces of at most this size."""
    for number, voxels in group(bins):
        if number >= 0:
            yield from ((number, some) for some in split(voxels, size))


def split(voxels: Labels, size: int) -> list[Labels]:
    """Return voxels in pieces of at most this size."""
    return [voxels[start : start + size] for start in range(0, len(voxels), size)]


@vectorised
def step_down(stages: Matrices, partials: Maps) -> None:
    """Write the partial autocorrelations of AR coefficients, which are the last row of the stages.

    ``stages`` (order, order, n_processes) takes the coefficients of every lower order: row k those of order
    k + 1. A process with a partial of 1 or more, in absolute value, is not stationary: those of lower orders
    mean nothing.
    """
    order, n_processes = partials.shape
    for k in range(order - 1, -1, -1):
        for i in range(n_processes):
            partials[k, i] = stages[k, k, i]
        for j in range(k):
            for i in range(n_processes):
                last = partials[k, i]
                scale = 1.0 / (1.0 - last * last)
                stages[k - 1, j, i] = (stages[k, j, i] + last * stages[k, k - 1 - j, i]) * scale


def fill_stages(partials: Maps) -> list[Maps]:
    """Return the coefficients of every order, (k, n_voxels) of order k, from partials (p, n_voxels)."""
    stages = [partials[:1]]
    for partial in partials[1:]:
        stages.append(np.concatenate([stages[-1] - partial * stages[-1][::-1], partial[None]]))
    return stages


def whiten_slopes(partials: Maps, slopes: Maps) -> Maps:
    """Return derivatives by the coefficients in coordinates where a long series' information is 1 a volume.

    That of the coefficients is the covariance of as many values as there are. Its inverse is RR', and R'
    times the slopes is returned; all are (p, n_voxels).
    """
    stages, white = fill_stages(partials), slopes.copy()
    left = np.ones(partials.shape[1])
    for k in range(len(partials) - 1, -1, -1):
        left = left * (1.0 - np.square(partials[k]))
        if k:  # What the values before it predict of the k-th.
            white[k] -= (stages[k - 1] * slopes[k - 1 :: -1]).sum(axis=0)
        white[k] *= np.sqrt(left)
    return white


@vectorised
def log_determinant_slope(partials: Maps, stages: Matrices, slope: Maps) -> None:
    """Write the derivatives of log |V| by the coefficients, from the stages of ``step_down``.

    V is the covariance of a process, of any length from the order on; all have the processes last.
    """
    order, n_processes = partials.shape
    for k in range(order):
        # ``slope`` has the derivatives by the coefficients of order k and gets those of order k + 1.
        for i in range(n_processes):
            slope[k, i] = 2.0 * (k + 1) * partials[k, i]
        for j in range(k):
            for i in range(n_processes):
                along = stages[k, k - 1 - j, i] + 2.0 * partials[k, i] * stages[k - 1, j, i]
                slope[k, i] += slope[j, i] * along
        for i in range(n_processes):
            slope[k, i] /= 1.0 - partials[k, i] * partials[k, i]
        for j in range((k + 1) // 2):
            for i in range(n_processes):
                last, one, other = partials[k, i], slope[j, i], slope[k - 1 - j, i]
                scale = 1.0 / (1.0 - last * last)
                slope[j, i] = scale * (one + last * other)
                slope[k - 1 - j, i] = scale * (other + last * one)


def slope_of_log_determinant(coefficients: Maps) -> Maps:
    """Return the derivatives of log |V| by the coefficients, both (order, n_processes)."""
    order, n_processes = coefficients.shape
    stages, partials = np.zeros((order, order, n_processes)), np.empty((order, n_processes))
    stages[-1] = coefficients
    step_down(stages, partials)
    slope = np.empty_like(partials)
    log_determinant_slope(partials, stages, slope)
    return slope


def curve_of_log_determinant(coefficients: Numbers) -> Matrix:
    """Return the second derivatives of log |V| by the coefficients, by differences of the first."""
    steps = DIFFERENCE * np.eye(len(coefficients))
    after, before = (slope_of_log_determinant(coefficients[:, None] + step) for step in (steps, -steps))
    curve = (after - before) / (2 * DIFFERENCE)
    return (curve + curve.T) / 2
