"""Variance and degrees of freedom of contrasts whose noise is an estimated AR process.

The noise is estimated, so the variance of an effect is larger than the plug-in one, and known less well than
T - r degrees of freedom say. Kenward and Roger (1997, Biometrics 53:983-997), Satterthwaite's approximation,
and for several rows Fai and Cornelius (1996, J Stat Comput Simul 54:363-378). With W the inverse restricted
information of the coefficients a, its profile over the variance s2, and G_i, P_i derivatives by a_i, for
noise of variance 1:

    g  = d/da [log(c'G^-1c)] - d/da [log|V| + log|G|] / n,   n = T - r
    k  = sum_ij W_ij c'G^-1 (Q'P_i V P_j Q - G_i G^-1 G_j) G^-1 c / (c'G^-1c)
    variance = s2 c'G^-1c (1 + 2 k),   dof = 2 / (2 / n + g'Wg).

k is what the estimated noise adds to the variance of the effect (Kackar & Harville 1984, JASA 79:853-862);
the plug-in variance is too small by about as much again (the term with second derivatives of V is left out).

What is dear is computed for bins of voxels with similar noise. k and W (relative to that of a long series)
are those of the bin's centre; the rest is expanded about it, to second order in the distance d of the
coefficients. For rows R that is N = (RG^-1R')^-1: with X = G^-1R'N and E_j = (dG/da_j)X of the centre,

    N(a) = X'G(a)X - sum_ij d_i d_j E_i'KE_j + O(d^3),   K = G^-1 - G^-1R'NRG^-1,

where X'G(a)X is exactly quadratic: nothing but the adaptation of the other regressors is approximate.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bidsapp.records.arrays import Labels, Map, Maps, Matrices, Matrix, Numbers
from bidsapp.stats.noise.autoregression import (
    curve_of_log_determinant,
    slope_of_log_determinant,
    to_coefficients,
    whiten_slopes,
)
from bidsapp.stats.noise.expansion import Expansion, invert_information, weigh_voxels
from bidsapp.stats.noise.information import expect_form, invert_curve
from bidsapp.stats.noise.lagged_design import LaggedDesign, LocalDesign, make_form, make_local_design
from bidsapp.stats.noise.residual_kernels import centre_forms

# Fai and Cornelius' expectation of F exists above two degrees of freedom.
LEAST_DOF = 2.001


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """What the estimated noise does to contrasts.

    Attributes
    ----------
    bins : ndarray of int, shape (n_voxels,)
        -1 where a voxel has no noise to model.
    partials : ndarray, shape (n_voxels, p)
        NaN where there is no noise to model.
    centres : ndarray, shape (n_bins, p)
        The coefficients.
    design : LaggedDesign
    inverses, excess : ndarray, shape (n_bins, rank, rank)
        L^-1 with G = LL'; and the matrix whose c'Ec is k c'G^-1c.
    slopes : ndarray, shape (n_bins, p, rank, rank)
        L^-1 G_i L^-T.
    inverse_information : ndarray, shape (n_bins, p, p)
        W, see ``autoregression.whiten_slopes``.
    offset, offset_slopes : ndarray, shape (n_bins, p) and (n_bins, p, p)
        The second term of g, and its derivatives by the coefficients.
    share : float or ndarray, shape (n_voxels,)
        What is left of W where the coefficients were smoothed over voxels.
    """

    bins: Labels
    partials: Matrix
    centres: Matrix
    design: LaggedDesign
    inverses: Matrices
    excess: Matrices
    slopes: NDArray[np.floating]
    inverse_information: Matrices
    offset: Matrix
    offset_slopes: Matrices
    share: float | Map = 1.0

    def at(self, voxels: Labels) -> "Uncertainty":
        """Return the same of some voxels; a voxel may be there several times."""
        share = self.share[voxels] if isinstance(self.share, np.ndarray) else self.share
        return replace(self, bins=self.bins[voxels], partials=self.partials[voxels], share=share)


def assess_noise(
    design: LaggedDesign,
    bins: Labels,
    partials: Matrix,
    centres: Matrix,
    *,
    share: float | Map = 1.0,
    n_threads: int = 1,
) -> Uncertainty:
    """Return the Uncertainty of voxels; ``centres`` (n_bins, p) are the partials of the bins' centres."""
    coefficients = to_coefficients(centres)

    def assess(number: int) -> tuple[NDArray[np.floating], ...]:
        return _assess_process(design, make_local_design(design, coefficients[number]), centres[number])

    with ThreadPoolExecutor(n_threads) as pool:
        made = zip(*pool.map(assess, range(len(centres))), strict=True)
        inverses, excess, slopes, information, offset, offset_slopes = map(np.stack, made)
    return Uncertainty(
        bins=bins,
        partials=partials,
        centres=coefficients,
        design=design,
        inverses=inverses,
        excess=excess,
        slopes=slopes,
        inverse_information=information,
        offset=offset,
        offset_slopes=offset_slopes,
        share=share,
    )


def _assess_process(
    design: LaggedDesign, local: LocalDesign, partials: Numbers
) -> tuple[NDArray[np.floating], ...]:
    """Return the fields of Uncertainty for one process."""
    form, moved, through = expect_form(design, local, partials)
    coefficients = -local.filter[1:]
    expected = 2 * form[1:, 1:] - np.outer(form[0, 1:], form[0, 1:])
    n_runs = len(design.runs)
    logs = local.log_curve + n_runs * curve_of_log_determinant(coefficients)
    w = 2 * invert_curve(logs + design.dof * expected)
    # sum_ij W_ij X_i'VX_j = sum_m (sum_i R_im X_i)'V(sum_j R_jm X_j) with W = RR'.
    root = np.linalg.cholesky(w)
    mixed, mixed_through, mixed_slopes = (
        np.tensordot(root.T, part, axes=1) for part in (moved, through, local.slopes)
    )
    excess = np.tensordot(mixed, mixed_through, axes=((0, 1), (0, 1)))
    excess -= np.tensordot(mixed_slopes, mixed_slopes, axes=((0, 1), (0, 1)))
    excess = local.inverse.T @ excess @ local.inverse
    root_of_long = whiten_slopes(np.tile(partials[:, None], len(partials)), np.eye(len(partials)))
    white = np.linalg.inv(root_of_long.T)
    offset = (n_runs * slope_of_log_determinant(coefficients[:, None])[:, 0] + local.log_slope) / design.dof
    return local.inverse, excess, local.slopes, white @ w @ white.T, offset, logs / design.dof


def weigh_t(uncertainty: Uncertainty, rows: Matrix, directions: Maps) -> tuple[Map, Map]:
    """Return the variance of contrasts d'R of each voxel for noise of variance 1, 1 + 2 k times, and dof.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, rank)
        R, over the parameters of the basis.
    directions : ndarray, shape (n_rows, n_voxels)
        d.

    Returns
    -------
    variance, dof : ndarray, shape (n_voxels,)
    """
    expansion, unit = _expand(uncertainty, rows)
    size, k, dof = _weigh(uncertainty, expansion, directions)
    return unit * size * (1.0 + 2.0 * k), dof


def weigh_f(uncertainty: Uncertainty, rows: Matrix) -> tuple[Matrices, Map]:
    """Return the covariance of rows R, (n_rows, n_rows, n_voxels), and the dof of their F, as ``weigh_t``.

    k is the mean along the eigenvectors of R G^-1 R' at the centre of the bin; the denominator's degrees of
    freedom are Fai and Cornelius', from those along the eigenvectors.
    """
    expansion, unit = _expand(uncertainty, rows)
    axes = np.linalg.eigh(expansion.sizes)[1][uncertainty.bins]
    found = [_weigh(uncertainty, expansion, axes[:, :, i].T) for i in range(len(rows))]
    _, k, dof = (np.stack(values) for values in zip(*found, strict=True))
    covariance = invert_information(expansion, uncertainty.bins, uncertainty.partials)
    return unit * covariance * (1.0 + 2.0 * k.mean(axis=0)), _join_dof(dof)


def _join_dof(dof: Maps) -> Map:
    """Return Fai and Cornelius' degrees of freedom from those of each row, (n_rows, n_voxels)."""
    joined: Map = dof[0]
    if len(dof) > 1:
        dof = np.maximum(dof, LEAST_DOF)
        expected = np.sum(dof / (dof - 2.0), axis=0)
        joined = 2.0 * expected / (expected - len(dof))
    return np.asarray(joined)


def _weigh(uncertainty: Uncertainty, expansion: Expansion, directions: Maps) -> tuple[Map, Map, Map]:
    """Return d'RG^-1R'd, k and the degrees of freedom of every voxel, each (n_voxels,)."""
    size, k, spread = weigh_voxels(expansion, uncertainty.bins, uncertainty.partials, directions)
    share = uncertainty.share
    return size, share * k, 2.0 / (2.0 / uncertainty.design.dof + share * spread)


def _expand(uncertainty: Uncertainty, rows: Matrix) -> tuple[Expansion, float]:
    """Return the Expansion of rows R and the unit of their variance.

    The unit is that of the first centre: numbers about 1 have a Cholesky factor, whatever the unit of rows.
    """
    turned = uncertainty.inverses[0] @ rows.T
    unit = np.mean(np.square(turned).sum(axis=0))
    rows = rows / np.sqrt(unit)
    forms = np.stack([_expand_rows(uncertainty, number, rows) for number in range(len(uncertainty.centres))])
    sizes, excess = np.linalg.inv(forms[..., 0, 0]), rows @ uncertainty.excess @ rows.T
    about = uncertainty.inverse_information, uncertainty.offset, uncertainty.offset_slopes
    return Expansion(forms, sizes, excess, uncertainty.centres, *about), unit


def _expand_rows(uncertainty: Uncertainty, number: int, rows: Matrix) -> NDArray[np.floating]:
    """Return N of rows R about the centre of a bin, shape (n_rows, n_rows, p + 1, p + 1).

    N in the corner, its slopes beside it, half its second derivatives in the rest.
    """
    design, inverse, slopes = uncertainty.design, uncertainty.inverses[number], uncertainty.slopes[number]
    turned = inverse @ rows.T
    plain = np.linalg.inv(turned.T @ turned)
    free = turned @ plain
    x = inverse.T @ free
    ends = design.ends @ x
    of_ends = np.einsum("eia,ejb->abij", ends, ends)
    of_ends = (of_ends + np.swapaxes(of_ends, 2, 3)) / 2
    # The kernels are compiled for one order of memory.
    forms = np.ascontiguousarray(make_form(np.moveaxis(x.T @ design.inner @ x, 0, -1), of_ends))
    n_rows, size = len(rows), forms.shape[-1]
    centre_forms(forms.reshape(-1, size, size), np.concatenate([[1.0], -uncertainty.centres[number]]))
    moved = slopes @ free
    left = moved - free @ (turned.T @ moved)
    adapted = np.einsum("ira,jrb->abij", moved, left)
    forms[..., 1:, 1:] -= (adapted + np.swapaxes(adapted, 2, 3)) / 2
    return forms.reshape(n_rows, n_rows, size, size)
