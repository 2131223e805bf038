"""Region-of-interest analysis of a group fit: one table for each atlas."""

import numpy as np
import pandas as pd

from bidsapp.inference.thresholds.false_discovery import bh_adjusted
from bidsapp.outputs import names
from bidsapp.outputs.tables import write_table
from bidsapp.stats.distributions import p_to_t
from bidsapp.stats.effect_sizes import standardise
from bidsapp.stats.group_estimators import USES_VARIANCES, fit_group
from bidsapp.tables.regions import average_regions, read_regions

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


def write_regions(fit, fitted, settings):
    """Write the table of every atlas that ``--roi`` names; return what the record says of them."""
    stack = fitted.stack
    if not settings.group.roi or len(stack.effect) != len(fitted.design.matrix):
        return []
    found = [read_regions(spec, stack.geometry) for spec in settings.group.roi]
    return [_write_atlas(fit, fitted, regions, settings) for regions in found]


def _write_atlas(fit, fitted, regions, settings):
    means = average_regions(fitted.stack.effect, regions)
    estimates = fit_regions(fitted, means, settings.group.tail)
    subjects = pd.DataFrame(means.T, columns=list(fit.design.rows))
    frames = [pd.concat([describe_regions(regions, estimate), subjects], axis=1) for estimate in estimates]
    place = {"node": fit.node, "contrast": fit.contrast or "all"}
    table = names.table_path(fit.entities, "regions", desc=regions.key, **place)
    descriptions = {name: {"Description": text} for name, text in COLUMNS.items()}
    descriptions["Atlas"] = regions.title
    write_table(settings.output_dir / table, pd.concat(frames, ignore_index=True), descriptions)
    return {"atlas": regions.key, "title": regions.title, "contrast": fit.contrast, "table": table}


def fit_regions(fitted, means, tail):
    """Return the estimates of all contrasts in every region.

    Estimators that weigh by variance maps have no variance of a region's mean; regions are then fitted by
    least squares.
    """
    estimator = "ols" if fitted.estimator in USES_VARIANCES else fitted.estimator
    rank = np.linalg.matrix_rank(fitted.design.matrix)
    return fit_group(means, None, fitted.design, estimator=estimator, min_inputs=rank + 1, tail=tail)


def describe_regions(regions, estimate):
    """Return the table of an estimate in every region, without the subjects' effects."""
    is_t = estimate.test == "t"
    nothing = np.full(len(regions.names), np.nan)
    half = p_to_t(0.025, estimate.dof) * np.sqrt(estimate.variance) if is_t else nothing
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
