"""Estimates to the maps that are written: statistic, z and p beside effect and variance."""

import numpy as np

from bidsapp.records.arrays import Map, Maps, Matrices
from bidsapp.records.maps import Estimate, JointEstimate
from bidsapp.stats.distributions import f_to_z, t_to_z, z_to_log_p


def make_t_maps(estimate: Estimate) -> dict[str, Map]:
    """Return the maps of a t contrast.

    Parameters
    ----------
    estimate : Estimate

    Returns
    -------
    dict of ndarray, shape (n_voxels,)
        effect, variance, t, z (sign of the effect), p (two-sided), and dof where it differs by voxel.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimate.effect / np.sqrt(estimate.variance)
    z = t_to_z(t, estimate.dof)
    maps = {"effect": estimate.effect, "variance": estimate.variance, "t": t, "z": z}
    return maps | {"p": np.exp(z_to_log_p(z))} | _dof_map(estimate)


def make_f_maps(estimate: JointEstimate) -> dict[str, Map]:
    """Return the maps of an F contrast.

    Parameters
    ----------
    estimate : JointEstimate

    Returns
    -------
    dict of ndarray, shape (n_voxels,)
        F, z (one-sided: large F gives large z), p, and dof where it differs by voxel.
    """
    f = joint_f(estimate.effect, estimate.covariance)
    z = f_to_z(f, len(estimate.effect), estimate.dof)
    return {"F": f, "z": z, "p": np.exp(z_to_log_p(z, tail="positive"))} | _dof_map(estimate)


def joint_f(effect: Maps, covariance: Matrices) -> Map:
    """Return F = effect' covariance^-1 effect / n_rows of every voxel.

    Parameters
    ----------
    effect : ndarray, shape (n_rows, n_voxels)
    covariance : ndarray, shape (n_rows, n_rows, n_voxels)

    Returns
    -------
    ndarray, shape (n_voxels,)
        NaN where the covariance is not finite or not positive definite.
    """
    effect = np.asarray(effect, np.float64)
    covariance = np.moveaxis(np.asarray(covariance, np.float64), -1, 0)
    good = np.isfinite(covariance).all(axis=(1, 2)) & np.isfinite(effect).all(axis=0)
    good &= (np.diagonal(covariance, axis1=1, axis2=2) > 0).all(axis=1)
    f = np.full(effect.shape[1], np.nan)
    right = effect[:, good].T[..., None]
    solved = np.linalg.solve(covariance[good], right)
    f[good] = (right * solved).sum(axis=(1, 2)) / len(effect)
    return f


def _dof_map(estimate: Estimate | JointEstimate) -> dict[str, Map]:
    return {"dof": estimate.dof} if isinstance(estimate.dof, np.ndarray) else {}
