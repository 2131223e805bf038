"""From the files of a run to its fitted model, and back to its residual series; both times as a stream."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from bidsapp.errors import AppError
from bidsapp.inputs.images import intersect_masks, read_map, read_mask
from bidsapp.inputs.series import BLOCK_VOLUMES, FWHM_PER_SIGMA, open_series
from bidsapp.outputs import names
from bidsapp.outputs.files import write_json
from bidsapp.outputs.images import write_series
from bidsapp.stats.aggregation import aggregate_series
from bidsapp.stats.autocorrelation import count_lags
from bidsapp.stats.run_glm import fit_run_glm, make_residuals
from bidsapp.stats.series_sums import accumulate, join_sums
from bidsapp.stats.time_model import make_time_model

# This noise model is there to compare with nilearn, whose percent is of the mean over all volumes.
LIKE_NILEARN = "ar1"


def fit_series(fit, settings, n_threads):
    """Read and fit the runs of one model.

    Parameters
    ----------
    fit : RunFit
    settings : Settings
    n_threads : int

    Returns
    -------
    geometry : Geometry
        Voxels in the masks of all its runs.
    fitted : run_glm.FittedRun
    notes : list of str
        What the user should know of the series.

    Raises
    ------
    AppError
        The message names the run.
    """
    try:
        masks = [read_mask(run.mask) for run in fit.runs]
        geometry = masks[0] if len(masks) == 1 else intersect_masks(masks, [run.mask for run in fit.runs])
        lengths = [run.n_volumes for run in fit.runs]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).tolist()
        model = make_time_model(fit.design.matrix, fit.keep, starts)
        if settings.run.noise_model == LIKE_NILEARN:
            model = replace(model, baseline=np.ones_like(model.baseline))
        parts, notes = [], []
        for run, rows in zip(fit.runs, model.runs, strict=True):
            part, empty = _sum_run(run, model.of_run(rows), geometry, fit.aggregate, settings.run, n_threads)
            parts.append(part)
            if empty:
                volumes = ", ".join(str(volume + 1) for volume in sorted(empty))
                notes.append(
                    f"{run.label}: volume {volumes} has no finite value and counts as zero. Censor it."
                )
        sums = parts[0] if len(parts) == 1 else join_sums(model, parts)
        smooth = make_smoother(geometry, settings.run.noise_smoothing_fwhm)
        noise_model = settings.run.noise_model
        fitted = fit_run_glm(sums, noise_model=noise_model, smooth=smooth, n_threads=n_threads)
        return geometry, fitted, notes
    except AppError as error:
        raise type(error)(f"{fit.label}: {error}", exit_code=error.exit_code) from error


def make_smoother(geometry, fwhm_mm):
    """Return a function that smooths a map (n_points,) over the voxels that have a value; None for 0 mm."""
    if fwhm_mm <= 0:
        return None
    zooms = np.sqrt(np.sum(np.square(geometry.affine[:3, :3]), axis=0))
    sigma = fwhm_mm / (FWHM_PER_SIGMA * zooms)

    def smooth(values):
        known = np.isfinite(values)
        volumes = [geometry.volume(v, fill=0.0) for v in (np.where(known, values, 0.0), known.astype(float))]
        total, weight = (gaussian_filter(volume, sigma, mode="constant")[geometry.mask] for volume in volumes)
        return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0)

    return smooth


def open_blocks(run, geometry, aggregate, options, n_threads):
    """Return the blocks of a run, of voxels or of the regions of its mask, and the series they are of."""
    series = open_series(run.bold, geometry, smoothing_fwhm_mm=options.smoothing_fwhm, n_threads=n_threads)
    blocks = series.blocks(BLOCK_VOLUMES)
    if aggregate == "none":
        return blocks, series
    return aggregate_series(blocks, read_map(run.mask, geometry), aggregate), series


def _sum_run(run, model, geometry, aggregate, options, n_threads):
    """Return the sums over time of one run, and its volumes that are empty."""
    blocks, series = open_blocks(run, geometry, aggregate, options, n_threads)
    sums = accumulate(
        blocks,
        model,
        n_lags=count_lags(options.noise_model),
        scaling=options.scaling,
        stored=(series.slope, series.intercept),
        n_threads=n_threads,
    )
    return sums, series.empty


def write_residuals(fit, fitted, geometry, settings, n_threads):
    """Write the residual series of every run of a fit, by a second pass; return their paths."""
    paths = []
    for number, run in enumerate(fit.runs):
        blocks, series = open_blocks(run, geometry, fit.aggregate, settings.run, n_threads)
        blocks = make_residuals(blocks, fitted, run=number, stored=(series.slope, series.intercept))
        path = names.residuals_path(run.entities)
        write_series(
            settings.output_dir / path,
            blocks,
            geometry,
            n_volumes=run.n_volumes,
            repetition_time=run.repetition_time,
            space=run.entities.get("space"),
        )
        sidecar = {
            "Description": "data less the fitted model, before whitening; zero in dropped volumes",
            "RepetitionTime": run.repetition_time,
            "StartTime": run.start_time,
            "NodeName": fit.node,
            "Scaling": settings.run.scaling,
            "SmoothingFWHM": settings.run.smoothing_fwhm,
            "SkullStripped": True,
            "TaskName": run.entities.get("task"),
        }
        write_json(settings.output_dir / names.sidecar_path(path), sidecar)
        paths.append(path)
    return paths
