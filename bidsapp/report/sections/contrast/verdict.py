"""The verdict of a contrast: what survives its main threshold, in which direction, and the strongest peak."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from bidsapp.outputs.saved.group import GroupContrastRecord, ThresholdRecord
from bidsapp.report.numbers import count, decimals, printed_decimals, size, with_dof
from bidsapp.report.render import FigureBook, Section, render, show_p
from bidsapp.report.sections.contrast.hypothesis import Direction, Hypothesis
from bidsapp.report.sections.contrast.shown import Shown, first_region, label_of
from bidsapp.report.sections.peak_effects import Row, say_place
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import THRESHOLDS

# What the p of a threshold is called, by the error that it controls.
P_WORDS = {"FWE": "corrected p", "FDR": "q", "none": "uncorrected p"}
UNCORRECTED = "The threshold does not correct for the number of voxels: it is no basis for a claim."
NO_PROOF = "This does not show that there is no effect"
POSITIVE, NEGATIVE = "positive", "negative"


@dataclass(frozen=True, slots=True)
class Side:
    """What survives on one side of zero."""

    sign: str
    n_clusters: int
    n_voxels: int
    volume_mm3: float


@dataclass(frozen=True, slots=True)
class Peak:
    """The strongest peak in words.

    Attributes
    ----------
    sign : {"positive", "negative", ""}
        Empty where the statistic has no direction.
    statistic, value, p, effect : str
        ``t(12)``, ``−9.99``, ``corrected p .002``, ``difference −1.22 % signal change, 95 % interval ...``;
        the last two are empty where there is none.
    region, place : str
        ``Fusiform L`` (empty: no label), ``−36, −52, −18``.
    """

    sign: str
    statistic: str
    value: str
    p: str
    effect: str
    region: str
    place: str

    @property
    def text(self) -> str:
        """Return all of it."""
        parts = [self.where, f"{self.statistic} = {self.value}", self.p, self.effect]
        return ", ".join(filter(None, parts))

    @property
    def where(self) -> str:
        """Return region and place."""
        return f"{self.region} ({self.place})" if self.region else f"({self.place})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a contrast says at its main threshold.

    Attributes
    ----------
    survives : bool or None
        None where the main threshold was not computed, or there is none.
    finding : Markup
        The first sentence.
    peak : Peak or None
    remarks : tuple of str
        Sentences to follow.
    threshold : str
        By which rule; empty where the first sentence says it.
    short, detail : str
        For a list: ``4 clusters, 282 voxels``, ``2 positive · 2 negative``.
    """

    survives: bool | None
    finding: Markup
    peak: Peak | None
    remarks: tuple[str, ...]
    short: str
    detail: str
    threshold: str = ""

    @property
    def text(self) -> str:
        """The sentences on what was found, for a paper."""
        strongest = f"Strongest: {self.peak.text}." if self.peak else ""
        return " ".join(filter(None, [self.finding.striptags(), self.threshold, strongest]))


def make_section(shown: Shown, book: FigureBook) -> Section:
    """Return the verdict."""
    return Section("In short", "verdict", render("contrast_verdict.html", verdict=verdict(shown)))


def verdict(shown: Shown) -> Verdict:
    """Return what a contrast says at its main threshold."""
    main = shown.contrast.main
    if main is None:
        finding = Markup("<b>No threshold was computed.</b>")
        return Verdict(None, finding, find_peak(shown), (), "No threshold", "")
    if main.reason:
        finding = Markup("<b>The main threshold was not computed</b>: {} ({}).").format(
            main.title, main.reason.rstrip(".")
        )
        return Verdict(None, finding, find_peak(shown), (), "Not computed", main.reason)
    if not main.n_voxels:
        rule = f"{main.rule}{_in_which_direction(shown, main)}, over {count(shown.n_tested, 'voxel')}"
        finding = Markup("<b>Nothing survives</b> {}.").format(rule)
        power, short = say_detectable(shown.contrast, shown.hypothesis.quantity)
        return Verdict(False, finding, find_peak(shown), (power, *main.warnings), "Nothing survives", short)
    sides = find_sides(shown, main)
    remarks = (*((UNCORRECTED,) if _controls(main) == "none" else ()), *main.warnings)
    n_clusters, n_voxels = sum(s.n_clusters for s in sides), sum(s.n_voxels for s in sides)
    short = f"{count(n_clusters, 'cluster')}, {count(n_voxels, 'voxel')}"
    detail = " · ".join(f"{side.n_clusters:,} {side.sign}" for side in sides) if shown.signed else ""
    finding = say_sides(shown.hypothesis, main.tail, sides)
    threshold = f"Main threshold: {shown.searched(main)}."
    return Verdict(True, finding, find_peak(shown), remarks, short, detail, threshold)


def say_detectable(contrast: GroupContrastRecord, quantity: str) -> tuple[str, str]:
    """Return what a contrast in which nothing survives could have found: in a sentence, and for a list."""
    found = contrast.detectable
    if found is None:
        return f"{NO_PROOF}.", ""
    unit = f" {contrast.units}" if contrast.units else ""
    quarter, half, most = map(size, (found.quarter, found.half, found.three_quarters))
    article = "an" if quantity == "effect" else "a"
    power, row = (
        f"{100 * found.power:.0f} % power",
        THRESHOLDS.get(contrast.main.method) if contrast.main else None,
    )
    by_map = row is not None and row.statistic is not None and STATISTICS[row.statistic].needs != "height"
    wide = f"; wide effects may be found by {row.short} at less" if row and by_map else ""
    return (
        f"{NO_PROOF}: with {power} this study could have found {article} {quantity} of {half}{unit} or more "
        f"in half of the voxels (in a quarter of them {quarter}, in three quarters {most}). "
        f"That is the height which a voxel by itself needs: {found.height}{wide}.",
        f"detectable: {half}{unit} ({power}, half of the voxels)",
    )


def find_sides(shown: Shown, main: ThresholdRecord) -> list[Side]:
    """Return what survives a threshold on each side of zero where anything does, the larger one first."""
    clusters = shown.read(main, "clusters")
    if clusters is None:
        return [Side(POSITIVE, main.n_clusters, main.n_voxels, np.nan)]
    sides = []
    for sign in clusters["sign"].unique():
        part = clusters[clusters["sign"] == sign]
        sides.append(Side(sign, len(part), int(part["n_voxels"].sum()), float(part["volume_mm3"].sum())))
    return sorted(sides, key=lambda side: (-side.n_voxels, side.sign != POSITIVE))


def find_peak(shown: Shown) -> Peak | None:
    """Return the strongest peak, of what survives or else of the whole map; None where no table has it."""
    row, main = shown.strongest, shown.contrast.main
    if row is None:
        return None
    value, own = float(row[shown.statistic]), THRESHOLDS.get(main.method) if main else None
    p = row.get(own.column) if own and own.column else None
    return Peak(
        sign="" if not shown.hypothesis.has_direction else POSITIVE if value > 0 else NEGATIVE,
        statistic=with_dof(shown.statistic, _dof(shown, row)),
        value=decimals(value, 2),
        p=f"{P_WORDS[own.controls]} {show_p(p)}" if own and p is not None and p == p else "",
        effect=_describe_effect(shown, row),
        region=first_region(label_of(row)),
        place=say_place(row),
    )


def _dof(shown: Shown, row: Row) -> list[float | None]:
    """Return the degrees of freedom at a peak: one number, of F two, of z none."""
    said = shown.contrast.dof
    dof = list(said) if isinstance(said, list) else [said]
    return [] if shown.statistic == "z" else [*dof[:-1], row.get("dof", dof[-1])]


def _describe_effect(shown: Shown, row: Row) -> str:
    """Return the effect at a peak with its interval; empty where the table has none."""
    effect, error, low, high = (row.get(f"effect{end}", np.nan) for end in ("", "_se", "_low", "_high"))
    if not np.isfinite([effect, error, low, high]).all():
        return ""
    said = [decimals(value, printed_decimals(error)) for value in (effect, low, high)]
    unit = f" {shown.contrast.units}" if shown.contrast.units else ""
    return f"{shown.hypothesis.quantity} {said[0]}{unit}, 95 % interval {said[1]} to {said[2]}"


def _controls(threshold: ThresholdRecord) -> str:
    row = THRESHOLDS.get(threshold.method)
    return row.controls if row else ""


def _in_which_direction(shown: Shown, main: ThresholdRecord) -> str:
    if not shown.hypothesis.has_direction:
        return ""
    if main.tail == "two":
        return " (neither direction)"
    direction = shown.hypothesis.above if main.tail == "positive" else shown.hypothesis.below
    return f" (tested: whether {_subject(shown)} {direction.verb} {direction.phrase})".replace("  ", " ")


def _subject(shown: Shown) -> str:
    subject = shown.hypothesis.subject
    return subject[0].lower() + subject[1:] if subject.startswith("The ") else subject


def say_sides(hypothesis: Hypothesis, tail: str, sides: Sequence[Side]) -> Markup:
    """Return what survives in a sentence: the larger side first; of the other that nothing survives."""
    directions = {POSITIVE: hypothesis.above, NEGATIVE: hypothesis.below}
    first = directions[sides[0].sign]
    style = sides[0].sign if hypothesis.has_direction else "strong"
    begin = [
        hypothesis.subject,
        first.verb,
        _word(first, style),
        first.rest,
        _say_side(sides[0], leading=True),
    ]
    said = Markup(" ").join(filter(None, begin))
    if len(sides) > 1:
        other = directions[sides[1].sign]
        said += Markup(" and {} {}").format(_word(other, sides[1].sign), _say_side(sides[1]))
    elif hypothesis.has_direction and tail == "two":
        other = directions[NEGATIVE if sides[0].sign == POSITIVE else POSITIVE]
        said += f"; in the other direction ({other.word}) nothing survives"
    elif hypothesis.has_direction:
        said += "; only this direction was tested"
    return said + "."


def _word(direction: Direction, style: str) -> Markup:
    return Markup('<b class="{}">{}</b>').format(style, direction.word)


def _say_side(side: Side, *, leading: bool = False) -> Markup:
    """Return ``in 2 clusters (125 voxels, 8.0 ml)``; of the other side of the same sentence without nouns."""
    volume = "" if np.isnan(side.volume_mm3) else f", {_litres(side.volume_mm3)}"
    number = count(side.n_clusters, "cluster") if leading else f"{side.n_clusters:,}"
    return Markup("in <b>{}</b> ({}{})").format(number, count(side.n_voxels, "voxel"), volume)


def _litres(volume_mm3: float) -> str:
    millilitres = volume_mm3 / 1000
    return f"{millilitres:,.{1 if millilitres >= 0.95 else 2}f} ml"
