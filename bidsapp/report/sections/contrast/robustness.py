"""Does it hold: the highest peaks by other estimators and without each subject, and other thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bidsapp.errors import by_reason
from bidsapp.records.arrays import Maps
from bidsapp.records.documents import Document
from bidsapp.report.drawing.held import Lane, draw_held
from bidsapp.report.numbers import count, decimals
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.contrast.shown import Shown, first_region, label_of
from bidsapp.report.sections.group_quality import SHORT, unusual
from bidsapp.report.sections.peak_effects import place_key, say_place
from bidsapp.vocabulary.estimators import ESTIMATORS
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import THRESHOLDS

# What the table of influence measures of the model itself; its flag says which of these are large.
OF_MODEL = {"leverage", "cooks_distance", "residual_rms", "residual_large", "correlation"}
HEADERS = {"subjects": "subjects of this sign", "pairs": "pairs in this order"}


@dataclass(frozen=True, eq=False)
class Held:
    """The table of robustness of a contrast.

    Attributes
    ----------
    peaks : list of str
        Region and place of each peak.
    values : dict of str to ndarray, shape (n_peaks,)
        The statistic by each estimator, that of the maps first.
    without : dict of str to ndarray, shape (n_peaks,)
        The statistic without each subject.
    agree : list of str
        How many go the way of each peak; empty where that has no meaning.
    whole : int
        Surviving voxels.
    sizes : dict of str to int
        Surviving voxels without each subject; empty where they were not counted.
    flagged : dict of str to str
        The subjects that are unusual, and in what.
    about : dict
        The sidecar.
    """

    peaks: list[tuple[str, str]]
    values: dict[str, Maps]
    without: dict[str, Maps]
    agree: list[str]
    whole: int
    sizes: dict[str, int]
    flagged: dict[str, str]
    about: Document

    @property
    def own(self) -> Maps:
        """The statistic of the maps."""
        return next(iter(self.values.values()))

    def fall(self, subject: str) -> tuple[float, int]:
        """Return what is left, as a share, of the peak that loses most without a subject, and its index."""
        shares = self.without[subject] / self.own
        if np.isnan(shares).all():
            return np.nan, 0
        peak = int(np.nanargmin(shares))
        return float(shares[peak]), peak


def make_section(shown: Shown, book: FigureBook) -> Section | None:
    """Return how the peaks of a contrast hold; None of results of earlier versions, and without peaks."""
    held = read_held(shown)
    if held is None:
        return None
    name = shown.statistic
    lanes = [
        Lane(
            region or place,
            place if region else "",
            {key: float(values[k]) for key, values in held.values.items() if np.isfinite(values[k])},
            _ends(held, k),
            {s: v for s in held.flagged if np.isfinite(v := float(held.without[s][k]))},
            held.agree[k] if held.agree else "",
        )
        for k, (region, place) in enumerate(held.peaks)
    ]
    cutoff, which = _height(shown)
    figure = draw_held(
        lanes,
        unit=f"{name}; dashed: {which}" if which else name,
        cutoff=cutoff,
        header=HEADERS.get(held.about["Compared"], "") if held.agree else "",
        alt=f"{name} at the highest peaks of {shown.contrast.name}: "
        + "; ".join(f"{_where(held, k)} {_in_words(lane)}" for k, lane in enumerate(lanes)),
    )
    content = render(
        "contrast_robustness.html",
        drawing=book.add(figure, shown.path("robustness", stat=name), "keep"),
        sentences=say(held, name),
        overlaps=shown.overlaps,
        main=shown.contrast.main,
        held=held,
        lanes=lanes,
        missing=_missing(held.about.get("NotFitted") or {}),
        path=shown.contrast.robustness,
        statistic=name,
        decimals=decimals,
    )
    return Section("Does it hold?", "robustness", content)


def read_held(shown: Shown) -> Held | None:
    """Return the table of robustness of a contrast, None where there is none."""
    path = shown.contrast.robustness
    if not shown.results.has(path):
        return None
    table, about = shown.results.read_table(path), shown.results.describe(path)
    at_peaks, whole = table[table["peak_x"].notna()], table[table["peak_x"].isna()]
    all_there = at_peaks[at_peaks["left_out"].isna()]
    first = all_there[all_there["estimator"] == all_there["estimator"].iloc[0]]
    subjects = at_peaks["left_out"].dropna().unique().tolist()
    without = {s: at_peaks.loc[at_peaks["left_out"] == s, "statistic"].to_numpy(float) for s in subjects}
    sizes = whole.dropna(subset="left_out")
    return Held(
        peaks=_names(shown, first),
        values={
            _short(str(name)): rows["statistic"].to_numpy(float)
            for name, rows in all_there.groupby("estimator", sort=False)
        },
        without=without,
        agree=_agree(first, about.get("Compared")),
        whole=int(whole.loc[whole["left_out"].isna(), "n_voxels"].iloc[0]),
        sizes=dict(zip(sizes["left_out"], sizes["n_voxels"].astype(int).tolist(), strict=True)),
        flagged={s: why for s, why in find_flagged(shown).items() if s in without},
        about=about,
    )


def find_flagged(shown: Shown) -> dict[str, str]:
    """Return the subjects that the tables of influence and quality mark, and what is unusual about each."""
    found: dict[str, list[str]] = {}
    results = shown.results
    for path in filter(results.has, (shown.contrast.influence, results.record.qc)):
        frame = results.read_table(path)
        subjects = [str(label).split(" ")[0] for label in frame.iloc[:, 0]]
        for column in frame.columns[1:]:
            values = frame[column]
            if column == "flag":
                marks = {
                    s: flag
                    for s, flag in zip(subjects, values, strict=True)
                    if isinstance(flag, str) and flag
                }
            elif values.dtype.kind in "iuf" and column not in OF_MODEL:
                is_marked = unusual(values.to_numpy(float))
                words = f"unusual {SHORT.get(column, column.replace('_', ' '))}"
                marks = {s: words for s, marked in zip(subjects, is_marked, strict=True) if marked}
            else:
                marks = {}
            for subject, words in marks.items():
                found.setdefault(subject, []).append(words)
    return {subject: "; ".join(dict.fromkeys(words)) for subject, words in found.items()}


def say(held: Held, name: str) -> list[str]:
    """Return what the numbers say, the largest relative fall of a peak first."""
    said = []
    falls = {subject: held.fall(subject) for subject in held.without}
    if falls and np.isfinite([share for share, _ in falls.values()]).any():
        subject, *others = sorted(falls, key=lambda s: np.nan_to_num(falls[s][0], nan=np.inf))
        share, peak = falls[subject]
        if share < 1:
            following = [f"; next comes {s} ({_percent(falls[s][0])})" for s in others if falls[s][0] < 1]
            said.append(
                f"Largest relative fall of a peak: without {subject} {name} in {_where(held, peak)} goes "
                f"from {decimals(held.own[peak], 2)} to {decimals(held.without[subject][peak], 2)} "
                f"({_percent(share)}){''.join(following[:1])}."
            )
        weakest = np.nanmin(np.array(list(held.without.values())) * np.sign(held.own))
        bars = f"|{name}|" if (held.own < 0).any() else name
        said.append(
            f"Leaving out any one subject, the weakest of these peaks keeps {bars} ≥ {decimals(weakest, 2)}."
            if weakest > 0
            else "Leaving out one subject, a peak changes its sign."
        )
    if held.sizes:
        low, high = min(held.sizes, key=held.sizes.__getitem__), max(held.sizes, key=held.sizes.__getitem__)
        fewest, most = held.sizes[low], held.sizes[high]
        survive = (
            f"{fewest:,} (without {low}) to {count(most, 'voxel')} (without {high}) survive"
            if fewest < most
            else f"{count(most, 'voxel') + ' survive' if most else 'nothing survives'}, whoever is left out"
        )
        said.append(f"By the cut-off of all subjects, {survive}; {held.whole:,} with all.")
    return said + [_say_flagged(held, name, subject, why) for subject, why in held.flagged.items()]


def _percent(share: float) -> str:
    """Return how much a value changes to what is left of it."""
    return f"{decimals(100 * (share - 1), 0)} %"


def _say_flagged(held: Held, name: str, subject: str, why: str) -> str:
    share, peak = held.fall(subject)
    if not np.isfinite(share):
        return f"Flagged: {subject} ({why}). The others cannot estimate the contrast at these peaks."
    before, after = held.own[peak], held.without[subject][peak]
    size = f", and {count(held.sizes[subject], 'voxel')} survive" if subject in held.sizes else ""
    return (
        f"Flagged: {subject} ({why}). Without it {name} in {_where(held, peak)} is "
        f"{decimals(after, 2)} in place of {decimals(before, 2)}{size}."
    )


def _where(held: Held, peak: int) -> str:
    region, place = held.peaks[peak]
    return f"{region} ({place})" if region else f"({place})"


def _names(shown: Shown, rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return region and place of each peak; the region is that of the tables of peaks."""
    tables = [shown.peaks]
    if shown.results.has(shown.contrast.strongest):
        tables.append(shown.results.read_table(shown.contrast.strongest))
    known = {
        place_key(row): first_region(label_of(row))
        for frame in tables
        if frame is not None
        for row in frame.to_dict("records")
    }
    return [(known.get(place_key(row), ""), say_place(row)) for row in rows.to_dict("records")]


def _agree(rows: pd.DataFrame, unit: str | None) -> list[str]:
    if unit is None:
        return []
    pairs = zip(rows["n_agree"], rows["n_compared"], strict=True)
    if unit == "pairs":
        return [f"{100 * agree / compared:.0f} %" if compared else "" for agree, compared in pairs]
    return [f"{agree:.0f} of {compared:.0f}" for agree, compared in pairs]


def _ends(held: Held, peak: int) -> tuple[float, float]:
    values = [float(found[peak]) for found in held.without.values() if np.isfinite(found[peak])]
    own = float(held.own[peak])
    return min(values, default=own), max(values, default=own)


def _height(shown: Shown) -> tuple[float | None, str]:
    """Return the cut-off of the statistic, of the main threshold or by voxel height, and its words."""
    for threshold in shown.contrast.thresholds:
        row = THRESHOLDS.get(threshold.method)
        if threshold.cutoff is None or threshold.scale != shown.statistic:
            continue
        if threshold == shown.contrast.main:
            return threshold.cutoff, "the main threshold"
        if row and row.statistic and STATISTICS[row.statistic].scale is None:
            main = THRESHOLDS.get(shown.contrast.thresholds[0].method)
            other = f"; the main threshold, {main.short}, is no cut-off" if main else ""
            return threshold.cutoff, f"{row.short}, {row.controls} {threshold.alpha:g}{other}"
    return None, ""


def _in_words(lane: Lane) -> str:
    marks = ", ".join(f"{name} {decimals(value, 2)}" for name, value in lane.values.items())
    low, high = (decimals(value, 2) for value in lane.ends)
    return f"{marks}, without one subject {low} to {high}" + (f", {lane.agree}" if lane.agree else "")


def _missing(reasons: Mapping[str, str]) -> list[str]:
    """Return why estimators are absent, those with the same reason together."""
    return [
        f"{' and '.join(map(_short, names))}: not fitted; {reason}"
        for reason, names in by_reason(reasons).items()
    ]


def _short(name: str) -> str:
    return ESTIMATORS[name].short if name in ESTIMATORS else name
