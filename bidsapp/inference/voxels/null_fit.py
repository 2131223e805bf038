"""Residuals on the nuisance where groups of subjects have variances of their own.

Signs of residuals may be flipped (or rows of a group change places) where the residuals are the errors. What
the fit of the nuisance gets wrong is in all of them: least squares lets the group of the largest variance
spoil the residuals of all others. So the nuisance is fitted by weights, and these come from residuals under
the null: weights from residuals of the whole design would give all weight to groups that happen to lie close
together, whose distance from the others is then lost to the shuffles, and extremes would be too rare there.
"""

import numpy as np

from bidsapp.records.arrays import Labels, Maps, Matrix, Numbers
from bidsapp.stats.blocks import STRETCH, cut
from bidsapp.stats.group.variance_groups import NOTHING

# Fits of the nuisance, the first by least squares; more change no size.
N_FITS = 4


def fit_under_null(data: Maps, nuisance: Matrix, groups: Labels) -> Maps:
    """Return residuals on the nuisance by generalised least squares, with a covariance for each group.

    Parameters
    ----------
    data : ndarray, shape (n_subjects, n_maps, n_points)
        Least-squares residuals on the nuisance, of length 1 over all maps, or zero.
    nuisance : ndarray, shape (n_subjects, n_nuisance)
        Orthonormal columns.
    groups : ndarray of int, shape (n_subjects,)
        Numbers from 0.

    Returns
    -------
    ndarray
        In the shape of the data. Their fits by a design that holds the nuisance have the same effects and
        residuals as before.
    """
    if not nuisance.shape[1]:
        return data
    fitted = np.empty_like(data)
    for points in cut(data.shape[2], STRETCH):
        fitted[..., points] = _fit(data[..., points], nuisance, groups)
    return fitted


def _fit(data: Maps, nuisance: Matrix, groups: Labels) -> Maps:
    """Return the residuals of some points."""
    members = [groups == group for group in range(groups.max() + 1)]
    grams = np.stack([nuisance[mine].T @ nuisance[mine] for mine in members])
    n_maps, n_nuisance = data.shape[1], nuisance.shape[1]
    sizes = np.bincount(groups)
    freedom, rest = np.tile(sizes - np.einsum("gkk->g", grams), (data.shape[2], 1)), data
    for _ in range(N_FITS - 1):
        weights = np.stack([_weigh(rest[mine], free) for mine, free in zip(members, freedom.T, strict=True)])
        information = np.einsum("gkl,gvqr->vkqlr", grams, weights)
        inverse = np.linalg.inv(information.reshape(len(freedom), n_nuisance * n_maps, -1))
        inverse = inverse.reshape(-1, n_nuisance, n_maps, n_nuisance, n_maps)
        # The data themselves are fitted each time.
        sums = sum(
            np.einsum("ik,iqv,vqr->vkr", nuisance[mine], data[mine], weight, optimize=True)
            for mine, weight in zip(members, weights, strict=True)
        )
        rest = data - np.einsum("ik,vkqlr,vlr->iqv", nuisance, inverse, sums, optimize=True)
        lost = np.einsum("gkl,gvqr,vkqlr->vg", grams, weights, inverse, optimize=True) / n_maps
        freedom = sizes - lost
    return rest


def _weigh(rest: Maps, freedom: Numbers) -> Numbers:
    """Return the inverse covariance of the residuals of a group, (n_points, n_maps, n_maps)."""
    products = np.einsum("iqv,irv->vqr", rest, rest)
    products += NOTHING * np.eye(products.shape[1])
    return np.linalg.inv(products) * np.maximum(freedom, NOTHING)[:, None, None]
