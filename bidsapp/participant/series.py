"""From the files of a run to its fitted model, and back to its residual series; both times as a stream."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bidsapp import names
from bidsapp.design.diagnostics import Diagnosis
from bidsapp.errors import AppError, Caution, InputError
from bidsapp.inputs.images.read import intersect_masks, read_first_volume, read_map, read_mask
from bidsapp.inputs.images.series import BLOCK_VOLUMES, Gaps, Series, open_series
from bidsapp.outputs.files import write_json
from bidsapp.outputs.images import write_series
from bidsapp.participant.noise_smoothing import Smoother, find_pairs, make_smoother, measure_widths
from bidsapp.records.arrays import Labels, Maps, Mask, Matrix
from bidsapp.records.maps import Geometry, Run
from bidsapp.records.plan import RunFit
from bidsapp.settings.parts import RunOptions
from bidsapp.stats.noise.check import choose_sample
from bidsapp.stats.noise.models import count_lags
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.aggregation import aggregate_series
from bidsapp.stats.run.glm import FittedRun, fit_run_glm, make_residuals
from bidsapp.stats.run.sums import SeriesSums, accumulate, join_sums
from bidsapp.vocabulary.noise import NOISE_MODELS

# A run of which a larger part of the volumes holds no data is a broken file.
MOST_EMPTY = 0.25
# A brain mask holds most of the voxels that are as bright as brain; scalp and eyes are fewer.
LEAST_OF_BRIGHT = 0.25
# Blocks of some voxels of a run, and the slope and intercept of their stored units.
Sample: TypeAlias = tuple[list[Maps], tuple[float, float]]


def fit_series(
    fit: RunFit, options: RunOptions, n_threads: int
) -> tuple[Geometry, FittedRun, RunFit, list[Mask], Matrix]:
    """Read and fit the runs of one model.

    Volumes without data are left out as if they were censored, and voxels without a value at some volume
    stay out of the maps; the series are then read again.

    Parameters
    ----------
    fit : RunFit
    options : RunOptions
    n_threads : int

    Returns
    -------
    geometry : Geometry
        Voxels in the masks of all its runs.
    fitted : FittedRun
    fit : RunFit
        With the volumes that were kept, the contrasts that they can make, and notes on what was left out.
    without : list of ndarray of bool, shape (n_voxels,)
        The voxels left out, one array a run.
    residuals : ndarray, shape (n_volumes, n_chosen)
        Before whitening, of the voxels of ``noise.check.choose_sample``.

    Raises
    ------
    AppError
        The message names the run.
    """
    try:
        masks = [read_mask(run.mask) for run in fit.runs]
        geometry = masks[0] if len(masks) == 1 else intersect_masks(masks, [run.mask for run in fit.runs])
        without = [np.zeros(geometry.n_points, bool) for _ in fit.runs]
        fwhm_mm = options.noise_smoothing_fwhm
        looked_at = choose_sample(geometry.n_points)
        voxels, pairs = find_pairs(geometry, looked_at) if fwhm_mm > 0 else (looked_at, [])
        sums, gaps, samples = _sum_runs(fit, without, voxels, geometry, options, n_threads)
        without = [gap.points for gap in gaps]
        if any(gap.volumes or points.any() for gap, points in zip(gaps, without, strict=True)):
            fit = leave_out(fit, [gap.volumes for gap in gaps], without)
            sums, _, samples = _sum_runs(fit, without, voxels, geometry, options, n_threads)
        small = [note for pair in zip(fit.runs, masks, strict=True) for note in warn_of_small_mask(*pair)]
        fit = replace(fit, notes=(*fit.notes, *small))
        smooth = _make_smoother(geometry, fwhm_mm, sums, samples, pairs)
        noise_model = options.noise_model
        fitted = fit_run_glm(sums, noise_model=noise_model, smooth=smooth, n_threads=n_threads)
        residuals = _leave_residuals(samples, fitted, voxels)[:, np.searchsorted(voxels, looked_at)]
        return geometry, fitted, fit, without, residuals
    except AppError as error:
        raise type(error)(f"{fit.label}: {error}", exit_code=error.exit_code) from error


def leave_out(fit: RunFit, volumes: Sequence[Sequence[int]], without: Sequence[Mask]) -> RunFit:
    """Return a fit without the volumes that hold no data, and cautions on them and on voxels without values.

    Parameters
    ----------
    fit : RunFit
    volumes : list of list of int
        From 0, one list a run.
    without : list of ndarray of bool, shape (n_voxels,)

    Raises
    ------
    InputError
        Too many volumes hold no data.
    """
    keep, notes = fit.keep.copy(), []
    for run, rows, empty, points in zip(fit.runs, fit.rows, volumes, without, strict=True):
        where = "" if len(fit.runs) == 1 else f"{run.label}: "
        if empty:
            said = (
                f"{where}{len(empty)} of {run.n_volumes} volumes hold no data (one value in the whole mask, "
                f"or none in most of it): {number_ranges(empty)}"
            )
            if len(empty) > MOST_EMPTY * run.n_volumes:
                raise InputError(f"{said}. That is too many. Restore the image, or leave the run out.")
            keep[rows][empty] = False
            notes.append(Caution(f"{said}. They are left out, as if they were censored."))
        if points.any():
            notes.append(
                Caution(
                    f"{where}{points.sum():,} of {len(points):,} voxels of the mask have no value (NaN) at "
                    "some volume. They stay out of the maps and of the smoothing of their neighbours."
                )
            )
    diagnosis = Diagnosis(fit.design.matrix[keep], fit.design.columns)
    reasons = {contrast.name: diagnosis.inestimable_reason(contrast.weights) for contrast in fit.contrasts}
    lost = {name: reason for name, reason in reasons.items() if reason}
    notes += [Caution(f"not made: {name}: {reason}") for name, reason in lost.items()]
    return replace(
        fit,
        keep=keep,
        contrasts=tuple(contrast for contrast in fit.contrasts if contrast.name not in lost),
        skipped={**fit.skipped, **lost},
        notes=(*fit.notes, *notes),
    )


def warn_of_small_mask(run: Run, geometry: Geometry) -> list[Caution]:
    """Return a caution where a brain mask is far smaller than the data."""
    if "brain" not in run.mask.name:
        return []
    values = read_first_volume(run.bold)
    bright = values >= np.median(values[geometry.mask]) / 2
    n_inside, n_bright = np.count_nonzero(bright & geometry.mask), np.count_nonzero(bright)
    if n_inside >= LEAST_OF_BRIGHT * n_bright:
        return []
    return [
        Caution(
            f"the brain mask is far smaller than the data: it holds {geometry.n_points:,} voxels, which are "
            f"{100 * n_inside / n_bright:.0f} % of those that are as bright. No others are analysed. "
            f"Check {run.mask.name}."
        )
    ]


def number_ranges(volumes: Sequence[int]) -> str:
    """Return volumes (from 0) in words that count from 1: "3, 96 to 100"."""
    ordered = np.sort(volumes) + 1
    parts = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1)
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)


def _make_smoother(
    geometry: Geometry, fwhm_mm: float, sums: SeriesSums, samples: Sequence[Sample], pairs: Sequence[Labels]
) -> Smoother | None:
    """Return what smooths the noise coefficients within tissue, or None."""
    if fwhm_mm <= 0:
        return None
    series = np.concatenate([stored[0] * block for sample, stored in samples for block in sample]).astype(
        float
    )
    series -= series.mean(axis=0)
    basis = sums.model.basis
    widths = measure_widths(series - basis @ (basis.T @ series), pairs, geometry.voxel_sizes_mm)
    return make_smoother(geometry, fwhm_mm, sums.mean, widths)


def open_blocks(
    fit: RunFit, number: int, geometry: Geometry, without: Sequence[Mask], options: RunOptions, n_threads: int
) -> tuple[Iterable[Maps], Series]:
    """Return the blocks of a run of a fit, of voxels or of the regions of its mask, and their series.

    Parameters
    ----------
    number : int
        Of the run.
    without : list of ndarray of bool, shape (n_voxels,)
        The voxels left out, one array a run.
    """
    run, points = fit.runs[number], without[number]
    series = open_series(
        run.bold,
        geometry,
        smoothing_fwhm_mm=options.smoothing_fwhm,
        n_threads=n_threads,
        dropped=np.flatnonzero(~fit.keep[fit.rows[number]]).tolist(),
        without=points,
    )
    blocks = series.blocks(BLOCK_VOLUMES)
    if fit.aggregate == "none":
        return blocks, series
    # Voxels that are left out are a region of their own: they take no part in that of others.
    labels = np.where(points, np.nan, read_map(run.mask, geometry))
    return aggregate_series(blocks, labels, fit.aggregate), series


def _sum_runs(
    fit: RunFit,
    without: Sequence[Mask],
    voxels: Labels,
    geometry: Geometry,
    options: RunOptions,
    n_threads: int,
) -> tuple[SeriesSums, list[Gaps], list[Sample]]:
    """Return the sums over time of all runs of a fit, what the series of each lacks, and samples of them."""
    model = make_time_model(fit.design.matrix, fit.keep, [rows.start for rows in fit.rows])
    if NOISE_MODELS[options.noise_model].means_all:
        model = replace(model, baseline=model.keep)
    # Runs that are fitted together share the coefficients: those of the shortest repetition time.
    repetition_time = min(run.repetition_time for run in fit.runs)
    shortest = min(run.n_volumes for run in fit.runs)
    n_lags = count_lags(options.noise_model, repetition_time, model.dof, shortest)
    parts, gaps, samples = [], [], []
    for number, rows in enumerate(fit.rows):
        blocks, series = open_blocks(fit, number, geometry, without, options, n_threads)
        stored = series.slope, series.intercept
        sample: list[Maps] = []
        part = accumulate(
            _watch(blocks, voxels, sample),
            model.of_run(rows),
            n_lags=n_lags,
            scaling=options.scaling,
            stored=stored,
            n_threads=n_threads,
        )
        parts.append(part)
        gaps.append(series.gaps)
        samples.append((sample, stored))
    return parts[0] if len(parts) == 1 else join_sums(model, parts), gaps, samples


def _watch(blocks: Iterable[Maps], voxels: Labels, sample: list[Maps]) -> Iterator[Maps]:
    """Yield blocks, and add some of their voxels to the sample."""
    for block in blocks:
        sample.append(block[:, voxels])
        yield block


def _leave_residuals(samples: Sequence[Sample], fitted: FittedRun, voxels: Labels) -> Matrix:
    """Return the residuals of samples of the series of every run, shape (n_volumes, n_chosen)."""
    chosen = fitted.series_of(voxels)
    runs = enumerate(samples)
    return np.concatenate(
        [
            block
            for run, (sample, stored) in runs
            for block in make_residuals([np.concatenate(sample)], chosen, run=run, stored=stored)
        ]
    )


def write_residuals(
    fit: RunFit,
    fitted: FittedRun,
    geometry: Geometry,
    options: RunOptions,
    output_dir: Path,
    read: Callable[[int], tuple[Iterable[Maps], Series]],
) -> list[str]:
    """Write the residual series of every run of a fit, read once more by its number; return their paths."""
    paths = []
    for number, run in enumerate(fit.runs):
        blocks, series = read(number)
        blocks = make_residuals(blocks, fitted, run=number, stored=(series.slope, series.intercept))
        path = names.residuals_path(run.entities)
        write_series(
            output_dir / path,
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
            "Scaling": options.scaling,
            "SmoothingFWHM": options.smoothing_fwhm,
            "SkullStripped": True,
            "TaskName": run.entities.get("task"),
        }
        write_json(output_dir / names.sidecar_path(path), sidecar)
        paths.append(path)
    return paths
