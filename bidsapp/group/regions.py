"""Region-of-interest analysis of a group fit: one table for each atlas."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bidsapp import names
from bidsapp.group.fit import FittedGroup, estimator_in_words, refit
from bidsapp.group.write_tables import name_inputs
from bidsapp.inference.thresholds.false_discovery import bh_adjusted
from bidsapp.outputs.saved.group import RegionsRecord
from bidsapp.outputs.tables import write_table
from bidsapp.records.arrays import Maps
from bidsapp.records.documents import Document
from bidsapp.records.maps import GroupEstimate
from bidsapp.records.plan import DatasetFit
from bidsapp.settings.parts import GroupOptions
from bidsapp.stats.distributions import p_to_t
from bidsapp.stats.group.effect_sizes import standardise
from bidsapp.tables.regions import Regions, average_regions, read_regions
from bidsapp.vocabulary.estimators import ESTIMATORS

COLUMNS = {
    "contrast": "Group contrast",
    "region": "Region of the atlas",
    "n_voxels": "Voxels of the region in the analysis mask",
    "n": "Subjects with data in at least half of the region",
    "effect": "Contrast of the subjects' mean effects",
    "low": "Lower limit of the 95 % confidence interval of the effect",
    "high": "Upper limit of the 95 % confidence interval of the effect",
    "statistic": "t or F",
    "dof": "Denominator degrees of freedom",
    "p": "Uncorrected p-value",
    "q": "p-value adjusted for the false discovery rate over regions (Benjamini-Hochberg)",
    "g": "Hedges' g; of least squares with one variance only",
    "g_low": "Lower limit of the 95 % confidence interval of g",
    "g_high": "Upper limit of the 95 % confidence interval of g",
}


# What the weight of a subject's mean rests on; the errors of neighbours are far from independent.
REGION_VARIANCE = (
    "The square of the mean standard error over the voxels of the region: that of errors which are the "
    "same in all of them, the largest that they can have"
)


def write_regions(
    fit: DatasetFit, fitted: FittedGroup, options: GroupOptions, output_dir: Path
) -> list[RegionsRecord]:
    """Write the table of every atlas that ``--roi`` names; return what the record says of them."""
    found = [read_regions(spec, fitted.stack.geometry) for spec in options.roi]
    return [_write_atlas(fit, fitted, regions, options.tail, output_dir) for regions in found]


def _write_atlas(
    fit: DatasetFit, fitted: FittedGroup, regions: Regions, tail: str, output_dir: Path
) -> RegionsRecord:
    data = average_data(fitted, regions)
    # A region is fitted with the subjects that have it.
    estimates = refit(fitted, data.effects, data.variances, tail)
    labels, means = list(fit.design.rows), data.effects
    if means.ndim == 3:
        # Scores tested together are of no use to a reader; what they are made from is.
        labels, means = list(name_inputs(fit, fitted.stack)), average_regions(fitted.stack.effect, regions)
    subjects = pd.DataFrame(means.T, columns=labels)
    frames = [pd.concat([describe_regions(regions, estimate), subjects], axis=1) for estimate in estimates]
    place = {"node": fit.node, "contrast": fit.contrast or "all"}
    table = names.table_path(fit.entities, "regions", desc=regions.key, **place)
    descriptions: Document = {name: {"Description": text} for name, text in COLUMNS.items()}
    descriptions |= {"Atlas": regions.title, "EstimationMethod": estimator_in_words(fitted)}
    if data.variances is not None:
        descriptions["RegionVariance"] = REGION_VARIANCE
    write_table(output_dir / table, pd.concat(frames, ignore_index=True), descriptions)
    return RegionsRecord(atlas=regions.key, title=regions.title, contrast=fit.contrast, table=table)


@dataclass(frozen=True, slots=True, eq=False)
class RegionData:
    """What the subjects have in every region.

    Attributes
    ----------
    effects : ndarray, shape (n_inputs, n_regions) or, for several rows within subjects, (n_rows, ...)
        Mean effects; NaN where an input has data in less than half of a region.
    variances : ndarray, shape (n_inputs, n_regions), or None
        Of the mean effects, where the estimator weighs by them: an upper bound (``REGION_VARIANCE``).
    """

    effects: Maps
    variances: Maps | None = None


def average_data(fitted: FittedGroup, regions: Regions) -> RegionData:
    """Return the means over regions of what a group fit was made from."""
    stack = fitted.stack
    if fitted.scores is not None and fitted.scores.ndim == 3:
        return RegionData(np.stack([average_regions(row, regions) for row in fitted.scores.swapaxes(0, 1)]))
    effects = average_regions(stack.effect, regions)
    if not ESTIMATORS[fitted.estimator].needs_variances or stack.variance is None:
        return RegionData(effects)
    errors = np.where(np.isfinite(stack.effect), np.sqrt(stack.variance), np.nan)
    return RegionData(effects, np.square(average_regions(errors, regions)))


def describe_regions(regions: Regions, estimate: GroupEstimate) -> pd.DataFrame:
    """Return the table of an estimate in every region, without the subjects' effects."""
    is_t = estimate.test == "t"
    nothing = np.full(len(regions.names), np.nan)
    half = nothing
    if estimate.variance is not None:
        half = p_to_t(0.025, estimate.dof) * np.sqrt(estimate.variance)
    # Only least squares with one variance has a standard deviation to measure the effect by.
    unit_error = estimate.maps.get("unit_error", nothing)
    size = standardise(estimate.statistic, estimate.dof, unit_error)
    effect = estimate.effect if is_t else nothing
    return pd.DataFrame(
        {
            "contrast": estimate.contrast,
            "region": regions.names,
            "n_voxels": [len(members) for members in regions.members],
            "n": estimate.maps["n"].astype(int),
            "effect": effect,
            "low": effect - half,
            "high": effect + half,
            "statistic": estimate.statistic,
            "dof": estimate.dof,
            "p": estimate.p,
            "q": bh_adjusted(estimate.p),
            "g": size.g,
            "g_low": size.low,
            "g_high": size.high,
        }
    )
