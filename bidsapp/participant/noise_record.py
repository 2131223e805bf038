"""What the record, the sidecars and the notes of a run say of its noise model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsapp.errors import Caution, InputError
from bidsapp.inputs.dataset.anatomy import TISSUES, find_segmentation, read_tissues
from bidsapp.outputs.saved.participant import NoiseCheckRecord, NoiseRecord, TissueRecord
from bidsapp.records.arrays import Labels, Map, Mask, Matrix, Numbers
from bidsapp.records.documents import Document
from bidsapp.records.maps import Estimate, Geometry, JointEstimate
from bidsapp.records.plan import RunFit
from bidsapp.stats.noise.check import FEWEST, check_noise, choose_sample
from bidsapp.stats.noise.models import most_lags, name_noise_model, warn_of_size
from bidsapp.stats.run.glm import FittedRun
from bidsapp.vocabulary.noise import NOISE_MODELS

ORDER_RULE = (
    "ceil(4 s / repetition time), at most one for 6 residual dof beyond 20; at least 4, or one for 18 "
    "residual dof; at most 12"
)
# With fewer degrees of freedom a z map of one run hardly reaches any threshold.
FEW_DOF = 12
# A share of voxels at the limit of the process that is worth a word.
MANY_AT_LIMIT = 0.01
THIRDS = ("darkest third", "middle third", "brightest third")
DIGITS = 4


def describe_noise(model: FittedRun, requested: str, dof: Sequence[float | Map]) -> NoiseRecord:
    """Return the record of the noise of a run, without what is left in its residuals.

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
    return NoiseRecord(
        model=name_noise_model(requested, order),
        order=order,
        requested=requested,
        corrected=likelihood is not None,
        residual_dof=float(model.dof),
        dof=tuple(None if value is None else float(value) for value in (low, median, high)),
        at_limit=None if likelihood is None else likelihood.at_limit,
        share=None if likelihood is None else float(np.median(likelihood.uncertainty.share)),
    )


def review_noise(
    residuals: Matrix, model: FittedRun, fit: RunFit, geometry: Geometry
) -> NoiseCheckRecord | None:
    """Return the record of the whitened residuals of a run; None for few volumes or voxels.

    Parameters
    ----------
    residuals : ndarray, shape (n_volumes, n_chosen)
        As ``series.fit_series`` returns them.
    model : FittedRun
    fit : RunFit
    geometry : Geometry
    """
    voxels = choose_sample(geometry.n_points)
    groups, source = _group_voxels(model, fit, geometry, voxels)
    check = check_noise(residuals, model, voxels, groups, fit.keep)
    if check is None or not check.groups:
        return None
    step = min(run.repetition_time for run in fit.runs)
    return NoiseCheckRecord(
        source=source,
        lags=_plain(step * np.arange(1, len(check.autocorrelation) + 1)),
        autocorrelation=_plain(check.autocorrelation),
        frequencies=_plain(check.frequencies / step),
        spectrum=_plain(check.spectrum),
        groups={
            name: TissueRecord(
                n_voxels=left.n_voxels,
                outside=_plain(left.outside),
                autocorrelation=_plain(left.autocorrelation),
                autocorrelation_band=_plain(left.autocorrelation_band),
                spectrum=_plain(left.spectrum),
                spectrum_band=_plain(left.spectrum_band),
            )
            for name, left in check.groups.items()
        },
    )


def _plain(values: Numbers | float) -> Any:
    return np.round(values, DIGITS).tolist()


def _group_voxels(
    model: FittedRun, fit: RunFit, geometry: Geometry, voxels: Labels
) -> tuple[dict[str, Mask], str | None]:
    """Return the voxels of each tissue and its file, or of thirds by mean intensity and None."""
    path = find_segmentation(fit.runs[0])
    try:
        labels = np.zeros(len(voxels)) if path is None else read_tissues(path, geometry.coordinates()[voxels])
    except InputError:  # nothing but this display needs the file
        labels = np.zeros(len(voxels))
    groups = {name: labels == label for label, name in TISSUES.items()}
    if max(map(np.count_nonzero, groups.values())) >= FEWEST:
        return groups, str(path)
    ranks = np.argsort(np.argsort(model.mean[voxels], kind="stable"), kind="stable")
    thirds = len(THIRDS) * ranks // max(len(voxels), 1)
    return {name: thirds == number for number, name in enumerate(THIRDS)}, None


def noise_fields(noise: NoiseRecord, estimate: Estimate | JointEstimate | None = None) -> Document:
    """Return the fields of the sidecars of a run's maps, with those of one estimate."""
    check = noise.check
    outside = {name: group.outside for name, group in check.groups.items()} if check else {}
    left = {name: _largest_left(check, group) for name, group in check.groups.items()} if check else {}
    fields = {
        "NoiseModel": noise.model,
        "NoiseOrder": noise.order,
        "NoiseModelRequested": noise.requested,
        "NoiseOrderRule": ORDER_RULE if NOISE_MODELS[noise.requested].order is None else None,
        "DegreesOfFreedomMethod": (
            "Satterthwaite, restricted information"
            if noise.corrected
            else "volumes less the rank of the design"
        ),
        "VarianceCorrection": "Kenward-Roger, linear" if noise.corrected else "none",
        "ResidualDegreesOfFreedom": noise.residual_dof,
        "NoiseAtLimitShare": noise.at_limit,
        "NoiseUncertaintyShare": noise.share,
        "NoisePortmanteauOutside": outside or None,
        "NoiseAutocorrelationLeft": left or None,
    }
    if estimate is not None and np.isfinite(estimate.dof).any():
        fields["DegreesOfFreedomMedian"] = float(np.nanmedian(estimate.dof))
    return fields


def _largest_left(check: NoiseCheckRecord, group: TissueRecord) -> Any:
    """Return the autocorrelation that is farthest from the expected one, less that."""
    left = np.subtract(group.autocorrelation, check.autocorrelation)
    return _plain(left[np.abs(left).argmax()])


def caution_of_noise(noise: NoiseRecord, repetition_time: float) -> list[Caution]:
    """Return what the user should know of the noise model of a run."""
    order, median = NOISE_MODELS[noise.requested].order, noise.dof[1]
    cautions = [warn_of_size(noise.requested, repetition_time)]
    if noise.corrected and median is not None and median < FEW_DOF:
        cautions.append(
            f"its effects have {median:.0f} degrees of freedom (median), for the noise is estimated from few "
            "volumes: the z of a single run says little. Use fewer confounds."
        )
    at_limit = noise.at_limit or 0.0
    if at_limit > MANY_AT_LIMIT:
        cautions.append(
            f"{100 * at_limit:.1f} % of the voxels have noise near a unit root (drifts that the "
            "design does not model). Use a faster --high-pass, or more confounds."
        )
    if order is not None and noise.corrected and order > most_lags(int(noise.residual_dof)):
        cautions.append(
            f"order {order} is high for {noise.residual_dof:.0f} residual degrees of freedom; p-values "
            "may be too small. Use --noise-model auto."
        )
    return [Caution(caution) for caution in cautions if caution]
