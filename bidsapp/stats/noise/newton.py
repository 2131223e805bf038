"""Compiled loops over voxels: the least restricted deviance of an AR process near a centre.

With d the distance of the coefficients from the centre, e'P(a)e of the generalised least-squares residuals is
q + slope'd + d'curve d / 2 up to third order, log|G| is expanded to second order, log|V| is exact, and

    deviance = log|V| + log|G| + dof log q.

V is the covariance of one run here; of several the deviance is divided by their number. Voxels are searched
side by side, in lanes, so that the compiler makes vectors over them; what one finds hangs on no other.
"""

from typing import NamedTuple

import numpy as np

from bidsapp.records.arrays import Labels, Maps, Matrices, Matrix, Numbers
from bidsapp.stats.noise.autoregression import log_determinant_slope, step_down, vectorised

# A restricted likelihood may have its maximum at a unit root: partial autocorrelations end here.
LARGEST_PARTIAL = 0.97
# Steps that were taken, and halvings of one: a search that has not ended by then ends at its best.
MAX_STEPS, MAX_HALVINGS = 15, 10
# A smaller pivot of the second derivatives is no curvature.
LEAST_PIVOT = 1e-12
# Voxels that are searched side by side.
LANES = 32


# Rows of ``Lanes``.
BEST, STEP, TRIAL, PARTIALS, BEST_PARTIALS, OF_Q, OF_G, SLOPE, NEWTON = range(9)
Q, LOG_G, VALUE, LEAST, GAIN, LARGEST, SCALE = range(7)
VOXEL, STEPS, HALVINGS = range(3)


class Lanes(NamedTuple):
    """Voxels that are searched side by side; they come last.

    Few arrays: what every kernel unpacks takes time to compile.

    Attributes
    ----------
    forms : ndarray, shape (p + 1, p + 1, LANES)
    stages, curve : ndarray, shape (p, p, LANES)
        Of ``step_down`` for the trial; second derivatives of the deviance there.
    vectors : ndarray, shape (9, p, LANES)
        The best distance from the centre so far, what is added to it next, and where that leads, the trial;
        partial autocorrelations of the trial and of the best; slopes at the trial of q, later of its log, of
        log|G| and of the deviance; Newton's step, its sign turned.
    numbers : ndarray, shape (7, LANES)
        Of the trial: q, log|G| and the deviance; the least deviance; the gain that the step promises; the
        largest partial autocorrelation of the trial, 1 or more: it is not stationary; room to work in.
    searches : ndarray of int, shape (3, LANES)
        Which voxel, -1: none; steps that were taken; how often the next one was halved.
    counts : ndarray of int, shape (2,)
        Voxels that were begun, and ended.
    """

    forms: Matrices
    stages: Matrices
    curve: Matrices
    vectors: Matrices
    numbers: Maps
    searches: Labels
    counts: Labels


def make_lanes(order: int) -> Lanes:
    """Return lanes without a voxel."""
    stages, curve = np.zeros((2, order, order, LANES))
    return Lanes(
        np.zeros((order + 1, order + 1, LANES)),
        stages,
        curve,
        np.zeros((9, order, LANES)),
        np.zeros((7, LANES)),
        np.full((3, LANES), -1),
        np.zeros(2, int),
    )


def minimise(forms: Matrices, about: Matrix, dof: float, tolerance: float) -> Matrix:
    """Return the partial autocorrelations of the least deviance of every voxel, shape (n_voxels, p).

    Parameters
    ----------
    forms : ndarray, shape (n_voxels, p + 1, p + 1)
        q in the corner, its slope beside it, half its second derivatives in the rest.
    about : ndarray, shape (2 + 4 p, p)
        The coefficients of the centre, the slope of log|G|, then four matrices: second derivatives of log|G|
        and of log|V|; the inverse of the expected ones of the deviance, which stands in where it is not
        convex; the metric, d'Md <= 1, that steps stay within.
    dof : float
    tolerance : float
        Of the deviance: the step that promises less is the last. What it leaves is of second order.
    """
    found = np.empty((len(forms), about.shape[1]))
    _search(forms, about, (dof, tolerance), make_lanes(about.shape[1]), found)
    return found


@vectorised
def _search(forms: Matrices, about: Matrix, limits: tuple[float, float], lanes: Lanes, found: Matrix) -> None:
    begin(lanes, forms)
    # Each round every lane tries one step: a lane whose search has ended begins with the next voxel.
    while lanes.counts[1] < len(forms):
        make_trials(about, lanes)
        step_down(lanes.stages, lanes.vectors[PARTIALS])
        limit_trials(about, lanes)
        expand(about, lanes)
        find_deviance(limits[0], lanes)
        take_better(lanes)
        end(lanes, limits[1], found)
        begin(lanes, forms)
        log_determinant_slope(lanes.vectors[PARTIALS], lanes.stages, lanes.vectors[SLOPE])
        find_curve(about, limits[0], lanes)
        factor(lanes.curve, lanes.numbers[SCALE])
        solve(lanes.curve, lanes.vectors[NEWTON])
        stand_in(about, lanes)
        take_step(lanes)


@vectorised
def begin(lanes: Lanes, forms: Matrices) -> None:
    """Begin with a voxel in every lane that is free, at the centre: the first trial is there."""
    for i in range(LANES):
        if lanes.searches[VOXEL, i] < 0 and lanes.counts[0] < len(forms):
            lanes.searches[VOXEL, i], lanes.searches[STEPS, i], lanes.searches[HALVINGS, i] = (
                lanes.counts[0],
                -1,
                1,
            )
            lanes.numbers[GAIN, i] = np.inf
            for a in range(forms.shape[1]):
                for b in range(forms.shape[1]):
                    lanes.forms[a, b, i] = forms[lanes.counts[0], a, b]
            for a in range(lanes.vectors.shape[1]):
                lanes.vectors[BEST, a, i] = lanes.vectors[STEP, a, i] = 0.0
            lanes.counts[0] += 1


@vectorised
def make_trials(about: Matrix, lanes: Lanes) -> None:
    """Write the trials, brought to where the expansion holds, and their coefficients."""
    p = lanes.vectors.shape[1]
    lanes.numbers[SCALE, :] = 0.0
    for a in range(p):
        for i in range(LANES):
            lanes.vectors[TRIAL, a, i] = lanes.vectors[BEST, a, i] + lanes.vectors[STEP, a, i]
    for a in range(p):
        for b in range(p):
            for i in range(LANES):
                lanes.numbers[SCALE, i] += (
                    about[2 + 3 * p + a, b] * lanes.vectors[TRIAL, a, i] * lanes.vectors[TRIAL, b, i]
                )
    for a in range(p):
        for i in range(LANES):
            lanes.vectors[TRIAL, a, i] /= max(1.0, np.sqrt(lanes.numbers[SCALE, i]))
            lanes.stages[p - 1, a, i] = about[0, a] + lanes.vectors[TRIAL, a, i]


@vectorised
def limit_trials(about: Matrix, lanes: Lanes) -> None:
    """Write the largest partial of every trial; where it is beyond the limit, bring the trial there."""
    lanes.numbers[LARGEST, :] = 0.0
    for a in range(lanes.vectors.shape[1]):
        for i in range(LANES):
            if not abs(lanes.vectors[PARTIALS, a, i]) <= lanes.numbers[LARGEST, i]:
                lanes.numbers[LARGEST, i] = abs(lanes.vectors[PARTIALS, a, i])
    for i in range(LANES):
        if LARGEST_PARTIAL < lanes.numbers[LARGEST, i] < 1.0:
            cut(about, lanes, i)


@vectorised
def cut(about: Matrix, lanes: Lanes, i: int) -> None:
    """Bring the partials of a trial to their limit."""
    p, partials, stages = lanes.vectors.shape[1], lanes.vectors[PARTIALS], lanes.stages
    for k in range(p):
        # Levinson's recursion upwards: the coefficients of order k + 1 from those of k and the partial.
        last = min(max(partials[k, i], -LARGEST_PARTIAL), LARGEST_PARTIAL)
        for a in range(k):
            stages[k, a, i] = stages[k - 1, a, i] - last * stages[k - 1, k - 1 - a, i]
        stages[k, k, i] = partials[k, i] = last
    for a in range(p):
        lanes.vectors[TRIAL, a, i] = stages[p - 1, a, i] - about[0, a]


@vectorised
def expand(about: Matrix, lanes: Lanes) -> None:
    """Write q and log|G| of the trials, and their slopes."""
    p = lanes.vectors.shape[1]
    for i in range(LANES):
        lanes.numbers[Q, i], lanes.numbers[LOG_G, i] = lanes.forms[0, 0, i], 0.0
    for a in range(p):
        for i in range(LANES):
            lanes.vectors[OF_Q, a, i] = lanes.vectors[OF_G, a, i] = 0.0
        for b in range(p):
            for i in range(LANES):
                lanes.vectors[OF_Q, a, i] += lanes.forms[a + 1, b + 1, i] * lanes.vectors[TRIAL, b, i]
                lanes.vectors[OF_G, a, i] += about[2 + a, b] * lanes.vectors[TRIAL, b, i]
        for i in range(LANES):
            lanes.numbers[Q, i] += lanes.vectors[TRIAL, a, i] * (
                lanes.forms[0, a + 1, i] + lanes.vectors[OF_Q, a, i]
            )
            lanes.numbers[LOG_G, i] += lanes.vectors[TRIAL, a, i] * (
                about[1, a] + 0.5 * lanes.vectors[OF_G, a, i]
            )
            lanes.vectors[OF_Q, a, i] = lanes.forms[0, a + 1, i] + 2.0 * lanes.vectors[OF_Q, a, i]
            lanes.vectors[OF_G, a, i] += about[1, a]


@vectorised
def find_deviance(dof: float, lanes: Lanes) -> None:
    """Write the deviance of the trials, infinite where there is none, and the slopes of log q."""
    # log|V| is less the log of the product of (1 - partial^2)^k over the orders k.
    lanes.numbers[SCALE, :] = 1.0
    lanes.numbers[VALUE, :] = 1.0
    for a in range(lanes.vectors.shape[1] - 1, -1, -1):
        for i in range(LANES):
            lanes.numbers[SCALE, i] *= 1.0 - lanes.vectors[PARTIALS, a, i] * lanes.vectors[PARTIALS, a, i]
            lanes.numbers[VALUE, i] *= lanes.numbers[SCALE, i]
            lanes.vectors[OF_Q, a, i] /= lanes.numbers[Q, i]
    for i in range(LANES):
        if lanes.numbers[Q, i] > 0.0 and lanes.numbers[LARGEST, i] < 1.0:
            lanes.numbers[VALUE, i] = (
                lanes.numbers[LOG_G, i] + dof * np.log(lanes.numbers[Q, i]) - np.log(lanes.numbers[VALUE, i])
            )
        else:
            lanes.numbers[VALUE, i] = np.inf


@vectorised
def take_better(lanes: Lanes) -> None:
    """Take trials that are better than the best, or the first; else halve the steps to them."""
    for i in range(LANES):
        better = (lanes.numbers[VALUE, i] < lanes.numbers[LEAST, i]) | (lanes.searches[STEPS, i] < 0)
        lanes.numbers[LEAST, i] = lanes.numbers[VALUE, i] if better else lanes.numbers[LEAST, i]
        lanes.searches[HALVINGS, i] = 0 if better else lanes.searches[HALVINGS, i] + 1
        lanes.searches[STEPS, i] += better
    for a in range(lanes.vectors.shape[1]):
        for i in range(LANES):
            taken = lanes.searches[HALVINGS, i] == 0
            lanes.vectors[BEST, a, i] = lanes.vectors[TRIAL, a, i] if taken else lanes.vectors[BEST, a, i]
            lanes.vectors[BEST_PARTIALS, a, i] = (
                lanes.vectors[PARTIALS, a, i] if taken else lanes.vectors[BEST_PARTIALS, a, i]
            )
            lanes.vectors[STEP, a, i] *= 0.5


@vectorised
def end(lanes: Lanes, tolerance: float, found: Matrix) -> None:
    """Write what the searches that end have found, and free their lanes."""
    for i in range(LANES):
        is_last = (lanes.numbers[GAIN, i] < tolerance) | (lanes.searches[STEPS, i] == MAX_STEPS)
        is_last = is_last if lanes.searches[HALVINGS, i] == 0 else lanes.searches[HALVINGS, i] == MAX_HALVINGS
        if is_last and lanes.searches[VOXEL, i] >= 0:
            for a in range(lanes.vectors.shape[1]):
                found[lanes.searches[VOXEL, i], a] = lanes.vectors[BEST_PARTIALS, a, i]
            lanes.searches[VOXEL, i] = -1
            lanes.counts[1] += 1


@vectorised
def find_curve(about: Matrix, dof: float, lanes: Lanes) -> None:
    """Write the slope of the deviance, which is that of log|V| before, and its second derivatives."""
    p = lanes.vectors.shape[1]
    for a in range(p):
        for i in range(LANES):
            lanes.vectors[SLOPE, a, i] += lanes.vectors[OF_G, a, i] + dof * lanes.vectors[OF_Q, a, i]
            lanes.vectors[NEWTON, a, i] = lanes.vectors[SLOPE, a, i]
        for b in range(a + 1):
            for i in range(LANES):
                curve = (
                    2.0 * lanes.forms[a + 1, b + 1, i] / lanes.numbers[Q, i]
                    - lanes.vectors[OF_Q, a, i] * lanes.vectors[OF_Q, b, i]
                )
                lanes.curve[a, b, i] = about[2 + a, b] + about[2 + p + a, b] + dof * curve


@vectorised
def factor(matrices: Matrices, pivots: Numbers) -> None:
    """Replace the lower triangles of matrices (n, n, LANES) by Cholesky factors, whose diagonal is inverted.

    The smallest pivots are written; a matrix where that is not above ``LEAST_PIVOT`` has no factor.
    """
    pivots[:] = np.inf
    for a in range(len(matrices)):
        for b in range(a + 1):
            for k in range(b):
                for i in range(LANES):
                    matrices[a, b, i] -= matrices[a, k, i] * matrices[b, k, i]
            if b < a:
                for i in range(LANES):
                    matrices[a, b, i] *= matrices[b, b, i]
        for i in range(LANES):
            pivots[i] = min(pivots[i], matrices[a, a, i])
            matrices[a, a, i] = 1.0 / np.sqrt(max(matrices[a, a, i], LEAST_PIVOT))


@vectorised
def solve(triangles: Matrices, values: Maps) -> None:
    """Replace values (n, LANES) by the solutions of LL'x = values, from what ``factor`` made."""
    n = len(values)
    for step in range(2 * n):
        # Down the rows, and up again.
        a = min(step, 2 * n - 1 - step)
        first, last = (0, a) if step < n else (a + 1, n)
        for k in range(first, last):
            for i in range(LANES):
                values[a, i] -= triangles[max(a, k), min(a, k), i] * values[k, i]
        for i in range(LANES):
            values[a, i] *= triangles[a, a, i]


@vectorised
def stand_in(about: Matrix, lanes: Lanes) -> None:
    """Write the step by the expected second derivatives where the deviance is not convex."""
    p = lanes.vectors.shape[1]
    for i in range(LANES):
        if not lanes.numbers[SCALE, i] > LEAST_PIVOT:
            for a in range(p):
                lanes.vectors[NEWTON, a, i] = 0.0
                for b in range(p):
                    lanes.vectors[NEWTON, a, i] += about[2 + 2 * p + a, b] * lanes.vectors[SLOPE, b, i]


@vectorised
def take_step(lanes: Lanes) -> None:
    """Take Newton's step as the next one where the trial was taken, and the gain that it promises."""
    for i in range(LANES):
        lanes.numbers[GAIN, i] = lanes.numbers[GAIN, i] if lanes.searches[HALVINGS, i] else 0.0
    for a in range(lanes.vectors.shape[1]):
        for i in range(LANES):
            taken = lanes.searches[HALVINGS, i] == 0
            lanes.numbers[GAIN, i] += (
                lanes.vectors[SLOPE, a, i] * lanes.vectors[NEWTON, a, i] if taken else 0.0
            )
            lanes.vectors[STEP, a, i] = -lanes.vectors[NEWTON, a, i] if taken else lanes.vectors[STEP, a, i]
