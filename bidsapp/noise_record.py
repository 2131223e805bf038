"""What the record, the sidecars and the notes of a run say of its noise model."""

import numpy as np

from bidsapp.errors import Caution
from bidsapp.stats.noise_models import DOF_PER_LAG, name_noise_model, parse_noise_model, warn_of_size

ORDER_RULE = "ceil(4 s / repetition time), at least 4, at most 12, at most one for 18 residual dof"
# With fewer degrees of freedom a z map of one run hardly reaches any threshold.
FEW_DOF = 12
# A share of voxels at the limit of the process that is worth a word.
MANY_AT_LIMIT = 0.01


def describe_noise(model, requested, dof):
    """Return what a record says of the noise of a run.

    Parameters
    ----------
    model : FittedRun
    requested : str
        The noise model that was asked for.
    dof : list of float or ndarray
        Degrees of freedom of each estimate of the run.
    """
    order = model.noise.coefficients.shape[1]
    likelihood = model.noise.likelihood
    values = np.concatenate([np.atleast_1d(value) for value in dof]) if dof else np.array([model.dof])
    finite = values[np.isfinite(values)]
    low, median, high = np.quantile(finite, (0.05, 0.5, 0.95)) if finite.size else (None,) * 3
    return {
        "model": name_noise_model(requested, order),
        "order": order,
        "requested": requested,
        "corrected": likelihood is not None,
        "residual_dof": float(model.dof),
        "dof": [None if value is None else float(value) for value in (low, median, high)],
        "at_limit": None if likelihood is None else likelihood.at_limit,
    }


def noise_fields(noise, estimate=None):
    """Return the fields of the sidecars of a run's maps, with those of one estimate."""
    corrected = noise["corrected"]
    fields = {
        "NoiseModel": noise["model"],
        "NoiseOrder": noise["order"],
        "NoiseModelRequested": noise["requested"],
        "NoiseOrderRule": ORDER_RULE if noise["requested"] == "auto" else None,
        "DegreesOfFreedomMethod": (
            "Satterthwaite, restricted information" if corrected else "volumes less the rank of the design"
        ),
        "VarianceCorrection": "Kenward-Roger, linear" if corrected else "none",
        "ResidualDegreesOfFreedom": noise["residual_dof"],
        "NoiseAtLimitShare": noise["at_limit"],
    }
    if estimate is not None and np.isfinite(estimate.dof).any():
        fields["DegreesOfFreedomMedian"] = float(np.nanmedian(estimate.dof))
    return fields


def caution_of_noise(noise, repetition_time):
    """Return what the user should know of the noise model of a run."""
    order, median = parse_noise_model(noise["requested"])[1], noise["dof"][1]
    cautions = [warn_of_size(noise["requested"], repetition_time)]
    if noise["corrected"] and median is not None and median < FEW_DOF:
        cautions.append(
            f"its effects have {median:.0f} degrees of freedom (median), for the noise is estimated from few "
            "volumes: the z of a single run says little. Use fewer confounds."
        )
    if (noise["at_limit"] or 0.0) > MANY_AT_LIMIT:
        cautions.append(
            f"{100 * noise['at_limit']:.1f} % of the voxels have noise near a unit root (drifts that the "
            "design does not model). Use a faster --high-pass, or more confounds."
        )
    if order is not None and noise["corrected"] and noise["residual_dof"] < DOF_PER_LAG * order:
        cautions.append(
            f"order {order} is high for {noise['residual_dof']:.0f} residual degrees of freedom; p-values "
            "may be too small. Use --noise-model auto."
        )
    return [Caution(caution) for caution in cautions if caution]
