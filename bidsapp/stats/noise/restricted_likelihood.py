"""AR(p) noise of every voxel by restricted maximum likelihood, from sums over time.

Minimises the restricted deviance log|V| + log|G| + (T - r) log q, G = Q'PQ and q the weighted residual sum of
squares (Patterson & Thompson 1971), in three steps: a pilot from corrected autocovariances; bins of voxels
with similar noise, the centre of each being what the deviance is expanded about; Newton steps in each voxel.
The last two are done again about better centres. (docs/noise.md has the reasons and the errors.)

Words: ``z`` is atanh of the partial autocorrelations, shape (n_voxels, p); see ``autoregression``.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bidsapp.records.arrays import Labels, Matrices, Matrix, Numbers
from bidsapp.stats.noise import newton
from bidsapp.stats.noise.autoregression import (
    curve_of_log_determinant,
    find_centres,
    find_nearest,
    group,
    make_autocovariance,
    split,
    to_coefficients,
    to_partials,
)
from bidsapp.stats.noise.information import expect_residual, invert_curve
from bidsapp.stats.noise.lagged_design import LaggedDesign, LocalDesign, make_local_design, weigh_slopes
from bidsapp.stats.noise.residual_kernels import Chosen, Slopes, expand_products, make_process
from bidsapp.stats.noise.residual_sums import ResidualSums

# The pilot's partials; where they are larger the expansion would begin too near a unit root.
LARGEST_PILOT = 0.9
PILOT_ROUNDS = 4
# Bins that the deviance is expanded in; voxels that are not more are exact.
N_BINS = 60
# Voxels that the pilot is corrected by, and their bins.
SAMPLE, SAMPLE_BINS = 1000, 20
# Rounds, and the tolerance of the deviance in them. After the first round only voxels are done again that are
# so many standard errors (about 1 / sqrt(T - r); FAR for one coefficient) or more from their centre: the
# error of the expansion is of third order (docs/noise.md has what is left of it). Steps that end early cost
# reproducibility: one more or less of a voxel, which may hang on a last bit, would move the centres of all.
N_ROUNDS, TOLERANCE = 3, 1e-3
FAR, FARTHEST = 1.25, 3.0
# Centres of the later rounds are where voxels are far: others count by this power of their distance.
NEARNESS = 4
# Where every voxel has its own centre: rounds, tolerance of the deviance, change of z.
EXACT_ROUNDS, EXACT_TOLERANCE, CONVERGED = 30, 1e-12, 1e-7
# A step goes at most so many standard errors from the centre.
RADIUS = 4.0
PILOT_CHUNK = 16384
# So many voxels of a bin give its information.
ENOUGH = 1024


def estimate_z(sums: ResidualSums, design: LaggedDesign, voxels: Labels, n_threads: int = 1) -> Matrix:
    """Return z of the greatest restricted likelihood, shape (n_chosen, p).

    Parameters
    ----------
    sums : ResidualSums
    design : LaggedDesign
    voxels : ndarray of int, shape (n_chosen,)
    """
    z = make_pilot(sums.products, design, voxels, n_threads)
    if len(z) <= N_BINS:
        return _iterate(sums, design, voxels, z)
    if len(z) > 2 * SAMPLE:
        z = _correct_pilot(sums, design, voxels, z, n_threads)
    return _approach(sums, design, voxels, z, n_threads=n_threads)


def _correct_pilot(
    sums: ResidualSums, design: LaggedDesign, voxels: Labels, z: Matrix, n_threads: int
) -> Matrix:
    """Return the pilot as the linear function of itself that is nearest to the estimates of a sample.

    Its errors are mostly alike for voxels with like noise; without them few voxels need a second round.
    """
    some = np.linspace(0, len(z) - 1, SAMPLE).astype(int)
    found = _approach(sums, design, voxels[some], z[some], n_bins=SAMPLE_BINS, n_threads=n_threads)
    with_constant = np.column_stack([z, np.ones(len(z))])
    weights = np.linalg.lstsq(with_constant[some], found)[0]
    largest = np.arctanh(LARGEST_PILOT)
    return np.asarray(np.clip(with_constant @ weights, -largest, largest))


def _approach(
    sums: ResidualSums,
    design: LaggedDesign,
    voxels: Labels,
    z: Matrix,
    *,
    n_bins: int = N_BINS,
    n_threads: int = 1,
) -> Matrix:
    """Return z after the rounds, of which the later ones are for voxels that were far from their centre."""
    z, left, weights = z.copy(), np.arange(len(z)), None
    limit = min(FAR * np.sqrt(z.shape[1]), FARTHEST) / np.sqrt(design.dof)
    distance = np.empty(len(z))
    for _ in range(N_ROUNDS):
        # From a sample of all: of those that are left it would change with every one that comes or goes.
        centres = z[left] if len(left) <= n_bins else find_centres(z, n_bins, weights)
        chosen = sums, voxels[left]
        z[left], distance[left] = refine(chosen, design, z[left], centres, TOLERANCE, n_threads)
        left, weights = np.flatnonzero(distance > limit), np.minimum(distance / limit, 1.0) ** NEARNESS
        if not len(left):
            break
    return z


def _iterate(sums: ResidualSums, design: LaggedDesign, voxels: Labels, z: Matrix) -> Matrix:
    """Return z of voxels that are the centres of their own bins, as exactly as it can be found."""
    for _ in range(EXACT_ROUNDS):
        z, distance = refine((sums, voxels), design, z, z, EXACT_TOLERANCE)
        if distance.max() < CONVERGED:
            break
    return z


def make_pilot(products: Matrix, design: LaggedDesign, voxels: Labels, n_threads: int = 1) -> Matrix:
    """Return z from the autocovariances of the least-squares residuals.

    Residuals are less correlated than the noise. The difference is taken from one process for all voxels,
    fitted to their mean: to invert the matrix that links both (Worsley et al. 2002, NeuroImage 15:1-15)
    throws voxels far off once order and rank are large.
    """
    pieces = split(np.arange(len(voxels)), PILOT_CHUNK)
    z = np.empty((len(voxels), products.shape[1] - 1))

    def add(some: Labels) -> Numbers:
        found = products[voxels[some]]
        total: Numbers = np.sum(found / found[:, :1], axis=0)
        return total

    def correct(some: Labels) -> None:
        found = products[voxels[some]].T
        scale = found[0] / expected[0]
        corrected = process[:, None] * scale + (found - scale * expected[:, None]) / counts[:, None]
        z[some] = np.arctanh(to_partials(corrected, LARGEST_PILOT)).T

    with ThreadPoolExecutor(n_threads) as pool:
        mean = np.sum(list(pool.map(add, pieces)), axis=0) / len(voxels)
        counts = design.count_pairs(np.ones(len(mean)))[0]
        partials = to_partials((mean / counts)[:, None], LARGEST_PILOT)[:, 0]
        for _ in range(PILOT_ROUNDS):
            process = make_autocovariance(partials)
            expected = expect_residual(design, partials)
            missing = (mean - expected / expected[0]) * design.dof / counts
            partials = to_partials((process / process[0] + missing)[:, None], LARGEST_PILOT)[:, 0]
        process, expected = make_autocovariance(partials), expect_residual(design, partials)
        list(pool.map(correct, pieces))
    return z


def refine(
    chosen: tuple[ResidualSums, Labels],
    design: LaggedDesign,
    z: Matrix,
    centres: Matrix,
    tolerance: float,
    n_threads: int = 1,
) -> tuple[Matrix, Numbers]:
    """Return z of the least deviance, expanded about the nearest centre, and how far it is from that.

    ``chosen`` has the ResidualSums and which of their voxels the rows of z are.
    """
    sums, voxels = chosen
    bins = np.arange(len(z)) if len(z) == len(centres) else find_nearest(z, centres, n_threads)
    refined, distance = np.empty_like(z), np.empty(len(z))
    coefficients = to_coefficients(np.tanh(centres))

    def improve(job: tuple[int, Labels]) -> None:
        number, members = job
        local = make_local_design(design, coefficients[number])
        some = Chosen(sums.products, sums.departures, sums.ends, voxels[members])
        process = make_process(design, local.filter, local.covariance)
        forms = expand_products(some, process, _describe_slopes(design, local))
        about = _describe_centre(design, local, forms)
        # The deviance of a run: log|V| of all is that of one times their number.
        n_runs = len(design.runs)
        found = newton.minimise(forms, about, design.dof / n_runs, tolerance / n_runs)
        refined[members] = z_found = np.arctanh(found)
        distance[members] = np.linalg.norm(z_found - centres[number], axis=1)

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(improve, group(bins)))
    return refined, distance


def _describe_slopes(design: LaggedDesign, local: LocalDesign) -> Slopes:
    """Return the Slopes at a process."""
    lags, corners = weigh_slopes(local.filter)
    order, rank = design.ends.shape[1:]
    moved = np.matmul(corners[:, None], design.ends).reshape(order, -1, rank)
    parts = lags, moved.transpose(0, 2, 1).reshape(order * rank, -1), local.inverse
    return Slopes(*(np.ascontiguousarray(part, np.float32) for part in parts))


def _describe_centre(design: LaggedDesign, local: LocalDesign, forms: Matrices) -> Matrix:
    """Return what ``newton.minimise`` knows about a centre, from the voxels of its bin."""
    coefficients = -local.filter[1:]
    n_runs, v_curve = len(design.runs), curve_of_log_determinant(coefficients)
    some = forms[:ENOUGH]
    mean = (some / some[:, :1, :1]).mean(axis=0)
    expected = 2 * mean[1:, 1:] - np.outer(mean[0, 1:], mean[0, 1:])
    inverse = invert_curve(local.log_curve + n_runs * v_curve + design.dof * expected)
    # Not where log|G| is past its expansion, near a unit root: there it invents minima.
    metric = np.linalg.inv(inverse) / (2 * RADIUS**2) + np.linalg.inv(invert_curve(-local.log_curve)) / 4
    log_g = local.log_slope[None] / n_runs, local.log_curve / n_runs
    rows = coefficients[None], *log_g, v_curve, n_runs * inverse, metric
    return np.ascontiguousarray(np.concatenate(rows))
