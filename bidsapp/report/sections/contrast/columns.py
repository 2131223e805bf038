"""The columns of a table of results, in the order of SPM's: region, cluster, peak, coordinate."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bidsapp.outputs.saved.group import GroupContrastRecord, ThresholdRecord
from bidsapp.records.documents import Document
from bidsapp.report.drawing.scale import short
from bidsapp.report.linked.pack import printed_digits
from bidsapp.report.numbers import decimals, percent, readable, with_dof
from bidsapp.report.render import show_p
from bidsapp.report.sections.contrast.hypothesis import Hypothesis
from bidsapp.report.sections.contrast.shown import KEYS
from bidsapp.report.sections.linked_view import short_title
from bidsapp.tables.atlas import first_label
from bidsapp.tables.clusters import FORMED
from bidsapp.vocabulary.thresholds import THRESHOLDS

LEVELS = ("", "cluster", "peak", "mm")
# Of the p of other thresholds the first that is there is always seen: of the cluster, of the peak, q; none of
# the kind that the table is for.
SEEN = (("p_maxSize", "p_rftSize"), ("p_maxT", "p_rftPeak", "p_holm"), ("q_fdrBH", "q_fdrBKY"))
# The p that a table is for, of records whose threshold is not known any more, too.
OWN = tuple(dict.fromkeys(row.column for row in THRESHOLDS.values() if row.column))
# Ends the names of columns of labels that are about whole clusters.
OF_CLUSTER = " of the cluster"
CENTRE = ("centre_x", "centre_y", "centre_z")
# Columns with a place of their own.
PLACED = {
    *KEYS,
    *CENTRE,
    *OWN,
    "z",
    "effect",
    "effect_se",
    "effect_low",
    "effect_high",
    "g",
    "partialrsquare",
}
PLACED |= {"dof", "tdp", "p_fwe_low", "p_fwe_high", FORMED}
SIDE = re.compile(r"^(left|right)[ _]|_([LR])(?= |$)", re.IGNORECASE)
SHARE = re.compile(r"^([\d.]+)% (.*)$")
# Seen with all columns only; left out in narrow windows.
MORE, WIDE = "more", "wide"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the page prints it.

    Attributes
    ----------
    head : str
        Its heading.
    cells : list of str
    level : {"", "cluster", "peak", "mm"}
        What it is about.
    looks : tuple of str
        Classes of its cells: ``number``, ``label``, ``main`` (the p that the table is for), ``more``,
        ``wide``.
    words : str
        What it is, in full.
    """

    head: str
    cells: list[str]
    level: str = "peak"
    looks: tuple[str, ...] = ("number", WIDE)
    words: str = ""

    @property
    def name(self) -> str:
        """Its heading where the levels are not seen, as in copies."""
        return f"{self.head} ({self.level})" if self.level == "mm" else self.head


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a table is made from.

    Attributes
    ----------
    contrast, threshold
        Of the table.
    frame : DataFrame
        A row a peak; where there are clusters with theirs in ``n_voxels``, ``volume_mm3``, ``tdp``.
    hypothesis : Hypothesis
        Of the contrast.
    about : dict
        The descriptions of the columns.
    """

    contrast: GroupContrastRecord
    threshold: ThresholdRecord
    frame: pd.DataFrame
    hypothesis: Hypothesis
    about: Document = field(default_factory=dict)

    @property
    def is_sub(self) -> list[bool]:
        """Whether each row is a further peak of the cluster above."""
        return (self.frame["peak"] > 1).tolist() if "n_voxels" in self.frame else [False] * len(self.frame)

    @property
    def own(self) -> str | None:
        """The column of the p that the table is for, None where the threshold has none."""
        words = THRESHOLDS.get(self.threshold.method)
        wanted = [words.column] if words else OWN
        return next((name for name in wanted if name in self.frame), None)

    @property
    def own_name(self) -> str:
        """What the p that the table is for is called."""
        words = name_p(self.threshold.method, self.threshold.title)
        return f"{words} (main)" if self.threshold == self.contrast.main else words

    @property
    def statistic(self) -> str:
        """The statistic with its degrees of freedom, where these are the same everywhere."""
        dof, name = self.contrast.dof, self.threshold.statistic
        return name if name == "z" else with_dof(name, dof if isinstance(dof, list) else [dof])

    @property
    def labels(self) -> list[str]:
        """The columns of labels of the peaks."""
        return [name for name in find_labels(self.frame) if not name.endswith(OF_CLUSTER)]

    @property
    def beside(self) -> dict[str, str]:
        """The columns of the p of other thresholds, each with the name of its threshold."""
        methods = {str(name): str(name).partition("_")[2] for name in self.frame}
        return {
            name: method
            for name, method in methods.items()
            if name not in {*PLACED, *self.unusable} and method in THRESHOLDS
        }

    @property
    def unusable(self) -> set[str]:
        """The columns of thresholds that cannot be used, which pages do not show."""
        lacking = [one for one in self.contrast.thresholds if one not in self.contrast.usable]
        return {f"{kind}_{one.method}" for one in lacking for kind in "pq"}

    def level_of(self, method: str) -> str:
        """Whether a p is that of a cluster of this table, or was read at the peak.

        Of clusters that are not formed as those of the table, the p at a peak is that of the one around it.
        """
        own, words = THRESHOLDS.get(self.threshold.method), THRESHOLDS.get(method)
        are_same = own and words and own.is_formed and words.is_formed
        return "cluster" if are_same and "n_voxels" in self.frame else "peak"

    @property
    def around(self) -> list[str]:
        """The thresholds whose p is that of the cluster, formed otherwise, around a peak."""
        beside = self.beside.values()
        return [name for name in beside if THRESHOLDS[name].is_formed and self.level_of(name) == "peak"]

    def print_each(self, name: str, show: Callable[[Any], str], level: str = "peak") -> list[str]:
        """Return the cells of a column; sub-peaks do not repeat what is about their cluster."""
        empty = self.is_sub if level == "cluster" else [False] * len(self.frame)
        return ["" if sub else show(v) for sub, v in zip(empty, self.frame[name], strict=True)]

    def title(self, label: str) -> str:
        """Return the short name of the atlas of a column of labels."""
        return short_title(str(self.about.get(label, {}).get("LongName", label)))

    def describe(self, name: str) -> str:
        """Return what a column is, in full."""
        return str(self.about.get(name, {}).get("Description", ""))


def make_columns(rows: Rows) -> list[Column]:
    """Return all columns of a table, level by level, those always seen first."""
    found = [*_place(rows), *_cluster(rows), *_p(rows), *_values(rows), *_rest(rows), *_position(rows)]
    return sorted(found, key=lambda c: (LEVELS.index(c.level), MORE in c.looks))


def find_labels(frame: pd.DataFrame) -> list[str]:
    """Return the columns of labels of atlases of a table."""
    return [str(c) for c in frame if frame[c].dtype.kind not in "iuf" and c not in KEYS]


def name_p(method: str, title: str = "") -> str:
    """Return what the p (or q) of a threshold is called in a table."""
    words = THRESHOLDS.get(method)
    if words is None:
        return f"p {title.partition(',')[0]}"
    return words.short if words.controls in ("FDR", "TDP") else f"p {words.short}"


def name_place(label: object, x: float) -> tuple[str, str]:
    """Return the region of a label in words, of ``62% A; 11% B`` the first, and its side.

    The side is that of the atlas, else that of x in mm.
    """
    by_place = "R" if x > 0 else "L" if x < 0 else "–"
    if not isinstance(label, str) or not label:
        return "–", by_place
    first = SHARE.sub(r"\2 \1 %", label.partition("; ")[0])
    found = SIDE.search(first)
    words = readable(SIDE.sub("", first))
    return words[:1].upper() + words[1:], (found[1] or found[2])[0].upper() if found else by_place


def show(value: float, digits: int = 2) -> str:
    """Return a number of a cell."""
    return "n/a" if value != value else decimals(value, digits)


def _print_estimates(frame: pd.DataFrame, *names: str) -> list[list[str]]:
    """Return columns of estimates and their limits, to two digits of their standard errors."""
    if "effect_se" not in frame:
        return [[short(value) for value in frame[name]] for name in names]
    digits = printed_digits(frame["effect_se"].to_numpy(float)).tolist()
    return [[show(v, d) for v, d in zip(frame[name], digits, strict=True)] for name in names]


def _place(rows: Rows) -> list[Column]:
    frame, labels = rows.frame, rows.labels
    if not labels:
        kind = "cluster_id" if "cluster_id" in frame else "peak"
        words = [f"{kind.removesuffix('_id')} {k}" for k in frame[kind]]
        return [Column("Place", [text[:1].upper() + text[1:] for text in words], "", ("label",))]
    each = frame[labels].to_numpy().tolist()
    chosen = [first_label(row) for row in each]
    named = [name_place(row[k], x) for row, k, x in zip(each, chosen, frame["peak_x"], strict=True)]
    # Of another atlas where the first has no label.
    cells = [
        f"{region} ({rows.title(labels[k])})" if k else region
        for (region, _), k in zip(named, chosen, strict=True)
    ]
    return [
        Column(f"Region ({rows.title(labels[0])})", cells, "", ("label",)),
        Column("Side", [side for _, side in named], "", (WIDE,), "L, R: as in the atlas, else by x"),
    ]


def _cluster(rows: Rows) -> list[Column]:
    frame = rows.frame
    if "n_voxels" not in frame:
        return []

    def column(head: str, name: str, show: Callable[[Any], str], *looks: str) -> Column:
        cells = rows.print_each(name, show, "cluster")
        return Column(head, cells, "cluster", (*looks, WIDE), rows.describe(name))

    found = [
        column("voxels", "n_voxels", lambda n: f"{n:,}", "number"),
        column("mm³", "volume_mm3", lambda v: f"{v:,.0f}", "number", MORE),
    ]
    if "tdp" in frame:
        cells = rows.print_each("tdp", percent, "cluster")
        looks: tuple[str, ...] = ("number", WIDE, MORE) if rows.own else ("number", "main")
        head = "active, at least" if rows.own else rows.own_name
        found.append(Column(head, cells, "cluster", looks, rows.describe("tdp")))
    if CENTRE[0] in frame:
        parts = [rows.print_each(name, lambda v: show(v, 0), "cluster") for name in CENTRE]
        cells = [", ".join(filter(None, place)) for place in zip(*parts, strict=True)]
        words = "Centre of gravity of the absolute statistic (x, y, z in mm)"
        found.append(Column("centre", cells, "cluster", ("number", WIDE, MORE), words))
    of_cluster = [name for name in find_labels(frame) if name.endswith(OF_CLUSTER)]
    found += [
        column(rows.title(name.removesuffix(OF_CLUSTER)) + OF_CLUSTER, name, _name, "label", MORE)
        for name in of_cluster
    ]
    return found


def _p(rows: Rows) -> list[Column]:
    """Return the p that the table is for, then those of other thresholds."""
    found, frame = [], rows.frame
    level = rows.level_of(rows.threshold.method)
    if rows.own:
        cells = rows.print_each(rows.own, show_p, level)
        found.append(Column(rows.own_name, cells, level, ("number", "main"), rows.describe(rows.own)))
    if "p_fwe_low" in frame:
        pairs = zip(frame["p_fwe_low"], frame["p_fwe_high"], rows.is_sub, strict=True)
        cells = [
            "" if sub and level == "cluster" else f"{show_p(low)}, {show_p(high)}" for low, high, sub in pairs
        ]
        words = "95 % limits of the p of this table's threshold, from the number of shuffles"
        found.append(Column("95 % limits of p", cells, level, ("number", WIDE, MORE), words))
    own = rows.threshold.method
    others = [names for names in SEEN if not any(name.endswith(f"_{own}") for name in names)]
    seen = {next((name for name in names if name in frame), "") for names in others}
    for name, method in rows.beside.items():
        level, more = rows.level_of(method), () if name in seen else (MORE,)
        cells = rows.print_each(name, show_p, level)
        found.append(Column(name_p(method), cells, level, ("number", WIDE, *more), rows.describe(name)))
        if method in rows.around and FORMED in frame and not more:
            sizes = rows.print_each(FORMED, lambda n: f"{n:,.0f}")
            found.append(Column("k", sizes, level, ("number", WIDE), rows.describe(FORMED)))
    return found


def _values(rows: Rows) -> list[Column]:
    """Return statistic, z and effect."""
    frame, name = rows.frame, rows.threshold.statistic
    cells = rows.print_each(name, show)
    found = [Column(rows.statistic, cells, looks=("number",), words=rows.describe(name))]
    if name != "z":
        found.append(Column("z", rows.print_each("z", show), words=rows.describe("z")))
    sizes: dict[str, pd.Series] = {"g": frame["g"]} if "g" in frame else {}
    seen = "g"
    if "effect" in frame:
        unit = (rows.contrast.units or "").replace("% signal change", "%")
        head = ", ".join(filter(None, [rows.hypothesis.quantity, unit]))
        (cells,) = _print_estimates(frame, "effect")
        found.append(Column(head, cells, words=rows.contrast.units or rows.describe("effect")))
        if "effect_low" in frame:
            limits = _print_estimates(frame, "effect_low", "effect_high")
            cells = [", ".join(pair) for pair in zip(*limits, strict=True)]
            found.append(Column("95 % interval", cells, words="95 % confidence limits of the effect (t)"))
            (cells,) = _print_estimates(frame, "effect_se")
            found.append(Column("standard error", cells, looks=("number", WIDE, MORE)))
        if "partialrsquare" in frame:
            sizes["partial r"] = np.sign(frame[name]) * np.sqrt(frame["partialrsquare"])
        seen = "partial r" if rows.hypothesis.kind == "slope" else "g"
    elif "partialrsquare" in frame:
        sizes["partial R²"] = frame["partialrsquare"]
        seen = "partial R²"
    for head, values in sizes.items():
        looks = ("number", WIDE) if head == seen else ("number", WIDE, MORE)
        found.append(Column(head, [show(v) for v in values], looks=looks))
    if "dof" in frame:
        first = rows.contrast.dof[:-1] if isinstance(rows.contrast.dof, list) else []
        cells = rows.print_each("dof", lambda v: with_dof("", [*first, v]).strip("()"))
        found.append(Column("dof", cells, words=rows.describe("dof")))
    return found


def _rest(rows: Rows) -> list[Column]:
    """Return what else the table of the threshold has: labels of other atlases, further numbers."""
    found = []
    for name in rows.labels[1:]:
        cells = rows.print_each(name, _name)
        found.append(Column(rows.title(name), cells, "peak", ("label", WIDE, MORE), rows.describe(name)))
    placed = {*PLACED, *rows.beside, *rows.unusable, rows.threshold.statistic}
    for name in map(str, rows.frame.select_dtypes("number")):
        if name not in placed:
            cells = rows.print_each(name, short)
            found.append(Column(name.replace("_", " "), cells, looks=("number", WIDE, MORE)))
    return found


def _position(rows: Rows) -> list[Column]:
    return [
        Column(axis, rows.print_each(f"peak_{axis}", lambda v: show(v, 0)), "mm", ("number",))
        for axis in "xyz"
    ]


def _name(label: object) -> str:
    return readable(label) if isinstance(label, str) else "–"
