"""Compiled loops over voxels: the least restricted deviance of an AR process near a centre.

With d the distance of the coefficients from the centre, e'P(a)e of the generalised least-squares residuals is
q + slope'd + d'curve d / 2 up to third order, log|G| is expanded to second order, log|V| is exact, and

    deviance = log|V| + log|G| + dof log q.

V is the covariance of one run here; of several the deviance is divided by their number.
"""

import numpy as np

from bidsapp.stats.noise.autoregression import log_determinant, log_determinant_slope, step_down, vectorised

# A restricted likelihood may have its maximum at a unit root: partial autocorrelations end here.
LARGEST_PARTIAL = 0.97
MAX_STEPS, MAX_HALVINGS = 15, 10
# A smaller pivot of the second derivatives is no curvature.
LEAST_PIVOT = 1e-12


@vectorised
def factor(matrix):
    """Replace the lower triangle of a symmetric matrix by its Cholesky factor; False where it has none."""
    for j in range(len(matrix)):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        if not matrix[j, j] > LEAST_PIVOT:
            return False
        matrix[j, j] = np.sqrt(matrix[j, j])
        for i in range(j + 1, len(matrix)):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    return True


@vectorised
def solve(triangle, right, out):
    """Write the solution of LL'x = right."""
    p = len(right)
    for i in range(p):
        out[i] = right[i]
        for k in range(i):
            out[i] -= triangle[i, k] * out[k]
        out[i] /= triangle[i, i]
    for i in range(p - 1, -1, -1):
        for k in range(i + 1, p):
            out[i] -= triangle[k, i] * out[k]
        out[i] /= triangle[i, i]


@vectorised
def expand(form, expected, d, gradient):
    """Return q and log|G| at d; their slopes go to the first and the second half of ``gradient``.

    ``expected`` holds the slope of log|G| in its first row and the second derivatives below.
    """
    p = len(d)
    value, log_g = form[0, 0], 0.0
    for i in range(p):
        along, along_g = 0.0, 0.0
        for j in range(p):
            along += 2.0 * form[i + 1, j + 1] * d[j]
            along_g += expected[1 + i, j] * d[j]
        value += d[i] * (form[0, i + 1] + 0.5 * along)
        log_g += d[i] * (expected[0, i] + 0.5 * along_g)
        gradient[i] = form[0, i + 1] + along
        gradient[p + i] = expected[0, i] + along_g
    return value, log_g


@vectorised
def deviance(form, about, dof, d, work):
    """Return the deviance at centre + d, whose partials and stages are in ``work``; fill the rest of it."""
    p = len(d)
    gradient, scalars = work[0], work[2 + p]
    value, log_g = expand(form, about[1 : 2 + p], d, gradient)
    if value <= 0.0:
        return np.inf
    for i in range(p):
        gradient[i] /= value
    scalars[0] = value
    return log_determinant(work[1, :p]) + log_g + dof * np.log(value)


@vectorised
def find_step(form, about, dof, work, newton):
    """Write Newton's step in ``newton[-1]`` and return the gain it promises; after ``deviance``."""
    p = form.shape[0] - 1
    gradient, total, step = work[0], work[3 + p, :p], newton[p]
    log_determinant_slope(work[1, :p], work[2 : 2 + p, :p], total)
    for i in range(p):
        total[i] += gradient[p + i] + dof * gradient[i]
        for j in range(p):
            curve = 2.0 * form[i + 1, j + 1] / work[2 + p, 0] - gradient[i] * gradient[j]
            newton[i, j] = about[2 + i, j] + about[2 + p + i, j] + dof * curve
    if factor(newton[:p]):
        solve(newton[:p], total, step)
    else:
        for i in range(p):
            step[i] = 0.0
            for j in range(p):
                step[i] += about[2 + 2 * p + i, j] * total[j]
    gain = 0.0
    for i in range(p):
        gain += total[i] * step[i]
        step[i] = -step[i]
    return gain


@vectorised
def place(about, trial, work):
    """Bring a trial to where the expansion holds and partials are within their limit, in place.

    Fill its partials and stages in ``work``; return False where the process is not stationary.
    """
    p = len(trial)
    partials, stages = work[1, :p], work[2 : 2 + p, :p]
    length = 0.0
    for i in range(p):
        along = 0.0
        for j in range(p):
            along += about[2 + 3 * p + i, j] * trial[j]
        length += trial[i] * along
    shrink = 1.0 / max(1.0, np.sqrt(length))
    for i in range(p):
        trial[i] *= shrink
        stages[p - 1, i] = about[0, i] + trial[i]
    if not step_down(stages[p - 1], partials, stages):
        return False
    largest = 0.0
    for i in range(p):
        largest = max(largest, abs(partials[i]))
    if largest > LARGEST_PARTIAL:
        step_up(partials, stages[p - 1])
        for i in range(p):
            trial[i] = stages[p - 1, i] - about[0, i]
        step_down(stages[p - 1], partials, stages)
    return True


@vectorised
def step_up(partials, coefficients):
    """Write the AR coefficients of partial autocorrelations cut at their limit."""
    old = np.empty_like(partials)
    for k in range(len(partials)):
        last = min(max(partials[k], -LARGEST_PARTIAL), LARGEST_PARTIAL)
        for i in range(k):
            old[i] = coefficients[i]
        for i in range(k):
            coefficients[i] = old[i] - last * old[k - 1 - i]
        coefficients[k] = last


@vectorised
def search(form, about, dof, d, work, step):
    """Move d along a step to a smaller deviance; return whether there was one."""
    p = len(d)
    scalars, trial = work[2 + p], work[4 + p, :p]
    for _ in range(MAX_HALVINGS):
        for i in range(p):
            trial[i] = d[i] + step[i]
        if place(about, trial, work):
            value = deviance(form, about, dof, trial, work)
            if value < scalars[1]:
                for i in range(p):
                    d[i] = trial[i]
                scalars[1] = value
                return True
        for i in range(p):
            step[i] *= 0.5
    return False


@vectorised
def minimise(forms, about, dof, tolerance):
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
    n_voxels, p = forms.shape[0], forms.shape[1] - 1
    found = np.empty((n_voxels, p))
    d, newton = np.empty(p), np.empty((p + 1, p))
    # Rows: both slopes, partials, stages of ``step_down``, (q, best deviance), the gradient, a trial.
    work = np.zeros((5 + p, 2 * p + 2))
    # All voxels begin at the centre.
    d[:] = 0.0
    place(about, d, work)
    centre = work.copy()
    for v in range(n_voxels):
        d[:] = 0.0
        for i in range(len(work)):
            for j in range(work.shape[1]):
                work[i, j] = centre[i, j]
        work[2 + p, 1] = deviance(forms[v], about, dof, d, work)
        for _ in range(MAX_STEPS):
            gain = find_step(forms[v], about, dof, work, newton)
            if not search(forms[v], about, dof, d, work, newton[p]):
                place(about, d, work)
                break
            if gain < tolerance:
                break
        for i in range(p):
            found[v, i] = work[1, i]
    return found
