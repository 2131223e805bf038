"""An estimate of a subject at the points of its mask: thresholds, peaks, what the linked view shows."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from bidsapp.outputs.results import SubjectResults, Volume
from bidsapp.outputs.saved.participant import EstimateRecord
from bidsapp.records.arrays import Map, Mask
from bidsapp.records.documents import Document
from bidsapp.records.maps import Geometry
from bidsapp.report.linked.content import Effect, Rule, Statistic, View
from bidsapp.report.linked.view import PROBABILITY
from bidsapp.report.numbers import printed_decimals
from bidsapp.report.render import show_p
from bidsapp.report.sections.linked_view import (
    UNCORRECTED,
    Look,
    label_uncorrected,
    make_curve,
    read_regions,
)
from bidsapp.settings.parts import GroupOptions
from bidsapp.tables.atlas import first_label, read_atlases
from bidsapp.tables.clusters import make_cluster_table
from bidsapp.vocabulary.thresholds import THRESHOLDS

Q, P = 0.05, 0.001
CORRECTED = next(row for row in THRESHOLDS.values() if row.controls == "FDR")
# The group level's default labels the peaks of participants.
ATLASES = GroupOptions().atlas
N_PEAKS, N_ROWS = 3, 40
# Degrees of freedom whose t is found exactly.
N_DOF = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """An estimate at the points of its mask.

    Attributes
    ----------
    estimate : EstimateRecord
    geometry : Geometry
    z : ndarray, shape (n_points,)
        Of F, which has no direction, what lies above zero.
    rules : tuple of Rule
        False discovery rate, uncorrected p.
    effect : Effect or None
        None for F.
    """

    estimate: EstimateRecord
    geometry: Geometry
    z: Map
    rules: tuple[Rule, ...]
    effect: Effect | None

    @property
    def signed(self) -> bool:
        """Whether the test has a direction."""
        return self.estimate.test != "F"

    def volume(self, survives: Mask | None = None) -> Volume:
        """Return the map, 0 where a threshold leaves nothing."""
        values = self.z if survives is None else np.where(survives, self.z, 0)
        return Volume(self.geometry.volume(values, fill=0), self.geometry.affine)


def read_layer(results: SubjectResults, estimate: EstimateRecord, *, whole: bool) -> Layer:
    """Return an estimate that has a z map; ``whole``: with its effect."""
    volume = results.read_map(estimate.maps["z"])
    inside = np.isfinite(volume.values)
    if results.has(estimate.mask):
        inside &= results.read_map(estimate.mask).values > 0
    z, signed = volume.values[inside].astype(float), estimate.test != "F"
    geometry = Geometry(inside, volume.affine)
    rules = make_rules(z, signed=signed)
    effect = _read_effect(results, estimate, inside) if whole else None
    return Layer(estimate, geometry, z if signed else np.maximum(z, 0), rules, effect)


def make_rules(z: Map, *, signed: bool) -> tuple[Rule, ...]:
    """Return what survives q (Benjamini-Hochberg over all points) and uncorrected p.

    As at the group level: q is two-sided, uncorrected p one-sided in each tail; F has its upper tail.
    """
    p = stats.norm.sf(np.abs(z) if signed else z)
    both = 2 * p if signed else p
    q = stats.false_discovery_control(both) if len(p) else p
    sides = ("two-sided", "one-sided in each tail") if signed else ("upper tail", "upper tail")
    found = (
        (CORRECTED, f"false discovery rate {_share(Q)} (Benjamini-Hochberg), {sides[0]}", q, Q),
        (UNCORRECTED, f"uncorrected p {_share(P)}, {sides[1]}", p, P),
    )
    return tuple(
        Rule(
            words.name,
            title,
            words.short if words == CORRECTED else label_uncorrected(signed=signed),
            values <= limit,
            values,
            cutoff=float(np.abs(z)[values <= limit].min()) if np.any(values <= limit) else None,
        )
        for words, title, values, limit in found
    )


def list_peaks(layer: Layer, rule: Rule, *, labelled: bool) -> Document:
    """Return the peaks of what survives a threshold, as its table shows them.

    At most ``N_PEAKS`` a cluster and ``N_ROWS`` in all, the largest clusters first; ``n_clusters`` and
    ``n_peaks`` count all. Numbers are those of the panel of the view.
    """
    point = np.arange(len(layer.z), dtype=float)
    table = make_cluster_table({"z": layer.z, "point": point}, rule.survives, layer.geometry)
    sizes = table.clusters.set_index("cluster_id")["n_voxels"]
    shown = table.peaks[table.peaks["peak"] <= N_PEAKS].head(N_ROWS)
    places = shown[["peak_x", "peak_y", "peak_z"]].to_numpy(float)
    labels = {a.title: a.label_near_peaks(places) for a in read_atlases(ATLASES)} if labelled else {}
    rows = []
    for k, row in enumerate(shown.to_dict("records")):
        found = [(title, words[k]) for title, words in labels.items()]
        rows.append(
            {
                "at": places[k].tolist(),
                "sign": row["sign"] if layer.signed else "",
                "region": found[first_label([words for _, words in found])][1] if found else "",
                "labels": "; ".join(f"{title}: {words}" for title, words in found),
                "n_voxels": int(sizes[row["cluster_id"]]) if row["peak"] == 1 else None,
                "z": _digits(row["z"], 2),
                **_numbers_at(layer, int(row["point"])),
            }
        )
    return {"rule": rule, "rows": rows, "n_clusters": len(sizes), "n_peaks": len(table.peaks)}


def _numbers_at(layer: Layer, point: int) -> dict[str, str]:
    """Return p and q at a point, and the effect with its interval to two digits of its standard error."""
    shown = {rule.method: show_p(rule.p[point]) for rule in layer.rules if rule.p is not None}
    effect = layer.effect
    if effect is None:
        return shown
    digits = printed_decimals(effect.errors[point])
    quantile = np.broadcast_to(effect.quantile, effect.values.shape)[point]
    middle, half = effect.values[point], quantile * effect.errors[point]
    value, low, high = (_digits(v, digits) for v in (middle, middle - half, middle + half))
    return shown | {"effect": value, "interval": f"{low}, {high}"}


def make_view(layer: Layer, look: Look, name: str, *, whole: bool) -> View:
    """Return a layer of a view; ``whole``: with effect, p and atlases, not with what survives alone."""
    top = float(np.max(np.abs(layer.z), initial=1.0))
    tail = "two" if layer.signed else "positive"
    curve = make_curve(look.statistic, None, top)
    return View(
        anchor=look.anchor,
        geometry=layer.geometry,
        statistic=Statistic(look.statistic, layer.z, None, signed=layer.signed, tail=tail, curve=curve),
        limit=look.limit,
        position=look.position,
        underlays=look.underlays,
        on_cortex=look.on_cortex,
        rules=[rule if whole else replace(rule, p=None) for rule in layer.rules],
        effect=layer.effect if whole else None,
        atlases=read_regions(ATLASES, layer.geometry, near=True) if whole and look.on_cortex else (),
        layer=name,
        note="" if whole else "Effect and p are given for the combined map.",
    )


def _read_effect(results: SubjectResults, estimate: EstimateRecord, inside: Mask) -> Effect | None:
    """Return the effect with its standard error, None for tests that have none."""
    effect, variance = estimate.maps.get("effect"), estimate.maps.get("variance")
    if not (results.has(effect) and results.has(variance)):
        return None
    path = estimate.maps.get("dof")
    by_voxel = results.read_map(path).values[inside] if results.has(path) else np.nan
    dof = estimate.dof if isinstance(estimate.dof, float) else by_voxel
    quantile = _t_quantile(dof)
    errors = np.sqrt(np.maximum(results.read_map(variance).values[inside], 0))
    values = results.read_map(effect).values[inside]
    return Effect("effect", estimate.units or "", values, errors, quantile)


def _share(value: float) -> str:
    return f"{value:g}".lstrip("0")


def _t_quantile(dof: float | Map) -> float | Map:
    """Return the t of an interval; of a map by interpolation (error below 1e-5), ten times as fast."""
    known = np.asarray(dof, float)[np.isfinite(dof)]
    share = (1 + PROBABILITY) / 2
    if known.size <= N_DOF:
        return np.asarray(stats.t.ppf(share, dof))
    at = np.geomspace(known.min(), known.max(), N_DOF)
    return np.interp(dof, at, stats.t.ppf(share, at))


def _digits(value: float, digits: int) -> str:
    """Return a number as the panel of the view prints it; true minus sign."""
    scale = 10.0**digits
    return f"{np.rint(value * scale) / scale + 0.0:.{digits}f}".replace("-", "\u2212")
