"""The part of the group stage between a fitted contrast and its thresholds: shuffles and evidence."""

import logging
import math
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bidsapp.inference.across import correct_across
from bidsapp.inference.engine.following import State
from bidsapp.inference.field_theory import estimate_smoothness
from bidsapp.inference.permutation import permute
from bidsapp.outputs.files import replacing
from bidsapp.plan.memory import used_gb
from bidsapp.records.arrays import Labels, Map, Maps, Matrix
from bidsapp.records.maps import (
    Contrast,
    Evidence,
    Geometry,
    GroupDesign,
    GroupEstimate,
    Inference,
    InferenceOptions,
    Smoothness,
)
from bidsapp.records.plan import DatasetFit
from bidsapp.records.progress import Tell, nobody
from bidsapp.settings.parts import GroupOptions, PermutationOptions
from bidsapp.stats.distributions import z_to_log_p
from bidsapp.stats.linear import find_rank

# The geometry, and the exchangeability blocks of the rows or None.
Place: TypeAlias = tuple[Geometry, Labels | None]

logger = logging.getLogger(__name__)
MISSED = (
    "not shuffled, and --across-contrasts corrects p by shuffling alone: thresholds are for this contrast."
)
# Seconds between saved states.
SAVE_EVERY = 60.0


class ShuffleMonitor:
    """Hands on how far the shuffles of a contrast are, and saves what an interrupted run needs to go on.

    Parameters
    ----------
    path : Path
        Of the saved state.
    tell : callable, optional
    """

    def __init__(self, path: Path, tell: Tell = nobody) -> None:
        self._path, self._tell = path, tell
        self._saved = time.monotonic()

    def load(self) -> State | None:
        """Return the saved state, or None."""
        try:
            # Opened here, so that a broken file is closed too.
            with self._path.open("rb") as file, np.load(file) as state:
                return dict(state)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, state: State) -> None:
        """Save the state, when the last one is a minute old."""
        if time.monotonic() - self._saved < SAVE_EVERY:
            return
        self._saved = time.monotonic()
        with replacing(self._path) as temporary:
            np.savez(temporary, allow_pickle=False, **state)

    def progress(self, done: int, total: int) -> None:
        """Hand on how many shuffles are done."""
        self._tell(done, total)

    def finish(self) -> None:
        """Remove the saved state: the results are written."""
        self._path.unlink(missing_ok=True)


def shuffle_contrast(
    effects: Maps,
    design: GroupDesign,
    contrast: Contrast,
    place: Place,
    options: InferenceOptions,
    monitor: ShuffleMonitor,
) -> Inference:
    """Return the permutation inference of a contrast.

    Parameters
    ----------
    effects : ndarray, shape (n_rows, n_points) or (n_rows, n_maps, n_points)
        Three axes: a multivariate test of all maps.
    design : GroupDesign
    contrast : Contrast
    place : tuple
        The geometry, and the exchangeability blocks of the rows or None.
    options : InferenceOptions
        Of all contrasts; the memory is that of the whole process.
    monitor : ShuffleMonitor
    """
    geometry, blocks = place
    options = options_of_design(design, blocks, options)
    options = replace(options, memory_gb=options.memory_gb - used_gb())
    inference = permute(effects, design.matrix, contrast.weights, geometry, options, monitor=monitor)
    monitor.finish()
    logger.info("%s: %s", contrast.name, describe_shuffles(inference))
    return inference


def leave_out(data: Maps, statistic: Map) -> Maps:
    """Return what is shuffled, NaN in voxels without a statistic: they have no p by shuffling either.

    Parameters
    ----------
    data : ndarray, shape (n_rows, ..., n_voxels)
    statistic : ndarray, shape (n_voxels,)
        NaN where the fit has none.
    """
    unknown = np.isnan(statistic)
    if not np.isfinite(data[..., unknown]).any():
        return data
    return np.where(unknown, np.array(np.nan, data.dtype), data)


def describe_shuffles(inference: Inference) -> str:
    """Return how a contrast was shuffled, and why so, in words."""
    mode = inference.conventions["ShuffleMode"]
    where = {"free": "", "within": " within blocks", "whole": " of whole blocks"}[mode]
    words = {"sign-flip": "sign flips", "permutation": "permutations", "both": "flips and permutations"}
    lacking = inference.conventions["IncompleteVoxels"]
    more = f"; voxels that lack subjects ({lacking:,}) are shuffled with those there" if lacking else ""
    there = f"{_many(inference.n_distinct)} that are distinct, smallest p {inference.smallest_p:.2g}"
    why = f"{inference.conventions['SchemeReason']}{more}"
    return f"{inference.n_shuffles:,} {words[inference.scheme]}{where} of {there} ({why})"


def _many(number: float) -> str:
    """Return a number of arrangements, a large one by its power of ten."""
    return f"{number:,.0f}" if number < 1e6 else f"more than 10^{math.floor(math.log10(number))}"


def mark_statistic(inference: Inference, statistic: str) -> Inference:
    """Return an inference that names its statistic, one that is not that of the estimator's map."""
    return replace(inference, conventions=inference.conventions | {"Statistic": statistic})


def blocks_of_rows(fit: DatasetFit, design: GroupDesign) -> Labels | None:
    """Return the exchangeability blocks of the rows: those asked for, else the subjects where they repeat.

    The rows are those of the fit, or one for each of its subjects.
    """
    if fit.blocks:
        blocks = np.unique(fit.blocks, return_inverse=True)[1]
        first = np.unique(fit.subjects, return_index=True)[1]
        return blocks if len(blocks) == len(design.matrix) else blocks[first]
    return design.clusters if design.has_repeats else None


def options_of_design(
    design: GroupDesign, blocks: Labels | None, options: InferenceOptions
) -> InferenceOptions:
    """Return the options of the permutation engine for a design."""
    depends = options.block_mode == "auto" and design.has_repeats
    mode = "dependent" if depends else options.block_mode
    return replace(options, blocks=blocks, block_mode=mode, variance_groups=design.variance_groups)


def make_options(
    chosen: PermutationOptions, group: GroupOptions, n_threads: int = 1, memory_gb: float = np.inf
) -> InferenceOptions:
    """Return the options of the permutation engine that the settings ask for."""
    surface = chosen.tfce_preset == "surface"
    return InferenceOptions(
        n_shuffles=chosen.n_permutations,
        seed=chosen.seed,
        alpha=group.alpha,
        tail=group.tail,
        statistics=tuple(chosen.statistics),
        cluster_forming_p=chosen.cluster_forming_p,
        connectivity=chosen.connectivity,
        tfce_connectivity=6,
        tfce_powers=(1.0, 2.0) if surface else (0.5, 2.0),
        tfce_steps=chosen.tfce_steps,
        mass=chosen.cluster_mass,
        scale=chosen.cluster_scale,
        scheme=chosen.shuffle_scheme,
        block_mode=chosen.block_mode,
        tail_approximation=chosen.tail_approximation,
        stop_when_decided=chosen.stop_when_decided,
        n_threads=n_threads,
        memory_gb=memory_gb,
    )


def make_evidence(
    estimate: GroupEstimate,
    inference: Inference | None,
    geometry: Geometry,
    options: InferenceOptions,
    smoothness: Smoothness | None = None,
) -> Evidence:
    """Return the maps of a contrast that thresholds are applied to."""
    signed = estimate.test == "t"
    tail = options.tail if signed else "positive"
    finite = estimate.dof[np.isfinite(estimate.dof)]
    same = len(finite) and np.ptp(finite) == 0
    return Evidence(
        test=estimate.test,
        statistic=estimate.statistic,
        z=estimate.z,
        log_p=z_to_log_p(estimate.z, tail=tail),
        dof=(float(estimate.dof_numerator), float(finite[0]) if same else float("nan")),
        tail=tail,
        geometry=geometry,
        inference=inference,
        cluster_forming_p=options.cluster_forming_p,
        connectivity=options.connectivity,
        smoothness=smoothness,
    )


def find_smoothness(effects: Maps, matrix: Matrix, geometry: Geometry) -> Smoothness | None:
    """Return the smoothness of the residuals of a group model; None where there are none to speak of.

    Parameters
    ----------
    effects : ndarray, shape (n_rows, n_points)
    """
    if why_no_fields(matrix, 1 if np.ndim(effects) == 2 else effects.shape[1]):
        return None
    return estimate_smoothness(effects, matrix, geometry, len(matrix) - find_rank(matrix))


def why_no_fields(matrix: Matrix, n_maps: int) -> str:
    """Return why random-field theory cannot be used in a design; empty where it can.

    Parameters
    ----------
    matrix : ndarray, shape (n_rows, n_columns)
    n_maps : int
        Maps of each row that are tested together.
    """
    if n_maps > 1:
        return "random-field theory has no thresholds for a multivariate test."
    dof = len(matrix) - find_rank(matrix)
    return "" if dof >= 3 else f"random-field theory needs 3 degrees of freedom, there are {dof}."


@dataclass(slots=True)
class Shuffled:
    """The permutation inference of a contrast, or None and, where one was asked for, why there is none.

    ``is_missed`` tells that the contrast is of a family, whose errors only shuffles control.
    """

    inference: Inference | None = None
    refusal: str = ""
    is_missed: bool = False

    def warnings_of(self, contrast: Contrast) -> list[str]:
        """Return what must be said."""
        notes = [*(self.inference.warnings if self.inference else ()), *([MISSED] if self.is_missed else ())]
        return [*filter(None, [self.refusal]), *(f"{contrast.name}: {note}" for note in notes)]


def correct_family(shuffled: Mapping[str, Shuffled]) -> None:
    """Correct the p-values of the contrasts of a family together, and say so.

    Parameters
    ----------
    shuffled : dict of str to Shuffled
        By the name of the contrast. Changed in place; contrasts without an inference are left out, which
        their warnings say.
    """
    for one in shuffled.values():
        one.is_missed = one.inference is None
    tested = {name: one.inference for name, one in shuffled.items() if one.inference is not None}
    if not tested:
        return
    corrected = correct_across(list(tested.values()), list(tested))
    logger.info("Family-wise errors by shuffling are over %s", corrected[0].conventions["Family"])
    for name, inference in zip(tested, corrected, strict=True):
        shuffled[name].inference = inference
