"""Family-wise error by random-field theory, for peaks and for clusters."""

from dataclasses import replace
from typing import TypeAlias

import numpy as np

from bidsapp.inference.field_theory import cluster_p, expected_clusters
from bidsapp.inference.statistics.clusters import find_clusters
from bidsapp.inference.thresholds.surviving import make_threshold, not_available, words_for_tail
from bidsapp.records.arrays import Map, Numbers
from bidsapp.records.maps import Evidence, Smoothness, Threshold
from bidsapp.stats.distributions import find_height

# The test, its degrees of freedom and the resels of the search volume.
Field: TypeAlias = tuple[str, tuple[float, float], Numbers]

# Clusters formed at a larger p have false-positive rates far above alpha (Eklund, Nichols & Knutsson 2016).
LARGEST_FORMING_P = 0.001
# The theory needs noise smooth against the voxels; below this width its p-values are too large.
SMOOTH_ENOUGH = 3.0
# Heights of t, F or z between which the expected Euler characteristic has its last maximum.
SEARCHED = (0.01, 100.0)
UNKNOWN = "the smoothness of the residuals is not known"


def random_field_peak(evidence: Evidence, alpha: float) -> Threshold:
    """Return the threshold on the height of a voxel by the expected number of clusters."""
    words = f"voxel height, family-wise error {alpha:g} by random-field theory, {words_for_tail(evidence)}"
    smoothness = evidence.smoothness
    if smoothness is None:
        return not_available("rftPeak", words, evidence, alpha, UNKNOWN)
    heights, field, n_tails = find_field(evidence, smoothness)
    turn = find_turn(field)
    expected = expected_clusters(np.maximum(heights, turn), *field) * n_tails
    adjusted = np.where(heights < turn, 1.0, -np.expm1(-np.maximum(expected, 0.0)))
    adjusted[~np.isfinite(evidence.statistic)] = np.nan
    return _with_warnings(make_threshold("rftPeak", words, evidence, alpha, adjusted), smoothness, ())


def random_field_cluster(evidence: Evidence, alpha: float) -> Threshold:
    """Return the threshold on the size of a cluster."""
    p = evidence.cluster_forming_p
    words = f"cluster extent, family-wise error {alpha:g} by random-field theory, {words_for_tail(evidence)}"
    words += f"; clusters formed at one-sided p {p:g}"
    smoothness = evidence.smoothness
    if smoothness is None:
        return not_available("rftSize", words, evidence, alpha, UNKNOWN)
    _, (test, dof, resels), n_tails = find_field(evidence, smoothness)
    cutoff = find_height(p, test, dof)
    signed = evidence.statistic if test == evidence.test else evidence.z
    signed = -signed if evidence.tail == "negative" else signed
    neighbours = evidence.geometry.neighbours(evidence.connectivity)
    clusters = find_clusters(signed, cutoff, neighbours, two_tailed=n_tails == 2, offset=0.0)
    sizes = clusters.size / np.prod(smoothness.fwhm_voxels)
    _, corrected = cluster_p(sizes, cutoff, test, dof, resels)
    adjusted = np.append(1.0, np.minimum(corrected * n_tails, 1.0))[clusters.labels]
    adjusted[~np.isfinite(evidence.statistic)] = np.nan
    notes: tuple[str, ...] = ()
    if p > LARGEST_FORMING_P:
        notes = (
            f"Clusters formed at p = {p:g}: above {LARGEST_FORMING_P:g} random-field p-values of clusters "
            "are far too small (Eklund 2016). Use the p-values by shuffling.",
        )
    threshold = make_threshold("rftSize", words, evidence, alpha, adjusted)
    kept = clusters.size[np.isin(np.arange(1, len(sizes) + 1), clusters.labels[threshold.surviving])]
    smallest_size = float(kept.min()) if len(kept) else float("nan")
    return _with_warnings(replace(threshold, cutoff=smallest_size, scale="voxels"), smoothness, notes)


def find_turn(field: Field) -> float:
    """Return the height above which the expected Euler characteristic only falls.

    Lower down it also counts holes (negative) and, near zero, the regions that make up the mask: no p-value
    can be had from it there.
    """
    grid = np.geomspace(*SEARCHED, 1000)
    rising = np.flatnonzero(np.diff(expected_clusters(grid, *field)) > 0)
    return float(grid[rising[-1] + 1] if len(rising) else grid[0])


def find_field(evidence: Evidence, smoothness: Smoothness) -> tuple[Map, Field, int]:
    """Return the heights, the field (test, dof, resels) and the number of tails."""
    known = evidence.test in ("t", "F") and np.isfinite(evidence.dof).all()
    test = evidence.test if known else "z"
    values = evidence.statistic if known else evidence.z
    heights = {"two": np.abs(values), "positive": values, "negative": -values}[evidence.tail]
    n_tails = 2 if evidence.tail == "two" else 1
    return heights, (test, evidence.dof, smoothness.resels), n_tails


def _with_warnings(threshold: Threshold, smoothness: Smoothness, notes: tuple[str, ...]) -> Threshold:
    width = float(np.prod(smoothness.fwhm_voxels) ** (1 / 3))
    if width < SMOOTH_ENOUGH:
        notes = (
            *notes,
            f"The noise is {width:.2f} voxels wide, narrower than the {SMOOTH_ENOUGH:g} voxels that "
            "random-field theory needs: its p-values are too large. Use those by shuffling.",
        )
    return replace(threshold, warnings=tuple(notes))
