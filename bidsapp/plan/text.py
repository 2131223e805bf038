"""A described plan as lines for a terminal."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import PurePath

from bidsapp.errors import Caution, by_reason, some_names
from bidsapp.records.documents import Document
from bidsapp.records.model import INTERCEPT

# Inflation above this is worth a look (a common rule of thumb for regression).
HIGH_INFLATION = 5.0
# From so many on, numbered columns are shown as the first and the last.
MOST_NUMBERED = 4
# More files are told by the first and their number.
MOST_INPUTS = 8
# Tables of the group have so many columns and groups at most, and words of so many letters.
MOST_COLUMNS, MOST_GROUPS, MOST_LETTERS = 8, 12, 16
# More arrangements than this are told as a power of ten.
MOST_COUNTED = 10**9
# Of a contrast that a run makes, and of one that its model does not have; with a reason it is not made.
MARKS = {"": "+", None: " "}


def plan_text(level: str, described: Document) -> str:
    """Return a described plan as lines for a terminal."""
    lines = [f"== {level} level: model {described.get('model', 'not known yet')}"]
    warnings = described.get("warnings", ())
    lines += [note for note in described["notes"] if note not in warnings]
    lines += [*(f"WARNING: {note}" for note in warnings), ""]
    if level == "group":
        shown: list[Document] = []
        for fit in described.get("fits", ()):
            lines += _group_lines(fit, shown)
            shown.append(fit)
        lines += _forecast_lines(described["forecast"], "model") if "forecast" in described else []
        lines += _suggestion_lines(described.get("designs", ()))
        lines += _work_lines(described.get("work", {}))
        return "\n".join(lines) + "\n"
    for subject in described["subjects"]:
        lines.append(f"sub-{subject['subject']}")
        lines += [f"  PROBLEM: {problem}" for problem in subject["problems"]]
        for fit in subject["runs"]:
            lines += _fit_lines(fit, fit["run"])
        for fit in subject["combinations"]:
            lines += _combination_lines(fit)
    lines += ["", *table_lines(described["missing"]), "", *_forecast_lines(described["forecast"])]
    lines += _work_lines(described.get("work", {}))
    return "\n".join(lines) + "\n"


def _work_lines(work: Mapping[str, str]) -> list[str]:
    """Return what is finished and what is to be done, each with the reason."""
    reasons = by_reason(work)
    done = reasons.pop("", [])
    lines = [f"finished, nothing to do: {some_names(done)}"] if done else []
    return lines + [f"to do, {why}: {some_names(labels)}" for why, labels in reasons.items()]


def _group_lines(fit: Document, before: Sequence[Document]) -> list[str]:
    """Return the lines of a group fit; of a design that an earlier fit has only that it does."""
    title = f"{fit['node']}: {fit['input_contrast'] or 'all contrasts'}"
    lines = _fit_lines(fit, title)
    lines.append(f"    design: {fit['formula']}; {len(set(fit['subjects']))} subjects")
    if fit["within"]:
        together = ", tested together (Hotelling's T2)" if len(fit["within"]["weights"]) > 1 else ""
        lines.append(f"    within each subject{together}: {fit['within']['in_words']}")
    lines += [
        f"    left out: {some_names(names, MOST_INPUTS)}: {reason}"
        for reason, names in by_reason(fit["excluded"]).items()
    ]
    alike = [other for other in before if all(other[key] == fit[key] for key in ("columns", "subjects"))]
    alike = [other for other in alike if other["first_rows"] == fit["first_rows"]]
    if "cells" in fit:
        lines += _cell_lines(fit["cells"])
    if fit["columns"] == [INTERCEPT]:
        return lines
    if alike:
        return [*lines, f"    rows: as of {alike[0]['input_contrast']}"]
    return lines + _picture_lines(fit)


def _suggestion_lines(designs: Sequence[Document]) -> list[str]:
    """Return the designs that may be asked for, each with its command."""
    lines = ["", "Designs that the participants, the sessions and the contrasts allow:"] if designs else []
    for number, one in enumerate(designs, 1):
        question = one["question"][0].upper() + one["question"][1:]
        lines += [f"  {number}. {question} N = {one['n']}", f"     {one['command']}"]
    return lines


def _cell_lines(cells: Document) -> list[str]:
    """Return the table of groups and cells with the number of participants in each."""
    names = list(dict.fromkeys(cell for row in cells.values() for cell in row))
    groups = list(cells)
    rows = [
        [group, *(str(cells[group].get(name, 0)) for name in names[:MOST_COLUMNS])]
        for group in groups[:MOST_GROUPS]
    ]
    lines = _table_lines(["participants", *names[:MOST_COLUMNS]], rows)
    return lines + _more_lines(len(groups) - MOST_GROUPS, "groups", len(names) - MOST_COLUMNS, "cells")


def _picture_lines(fit: Document) -> list[str]:
    """Return the first rows and columns of a design."""
    columns, rows = fit["columns"], fit["first_rows"]
    body = [
        [label, *(f"{value:.3g}" for value in row[:MOST_COLUMNS])]
        for label, row in zip(fit["rows"], rows, strict=False)
    ]
    lines = _table_lines(["rows", *columns[:MOST_COLUMNS]], body)
    return lines + _more_lines(fit["n_rows"] - len(rows), "rows", len(columns) - MOST_COLUMNS, "columns")


def _table_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table of bounded width: the first column to the left, the others to the right."""
    # What tells rows apart stands at the end of their names: cells of several factors.
    table = [[_cut(row[0], 3 * MOST_LETTERS), *map(_cut, row[1:])] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "      " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table
    ]


def _cut(word: str, most: int = MOST_LETTERS) -> str:
    return word if len(word) <= most else word[: most - 3] + "..."


def _more_lines(n_rows: int, rows: str, n_columns: int, columns: str) -> list[str]:
    """Return a line on what a table leaves out."""
    left = [f"{n} more {what}" for n, what in ((n_rows, rows), (n_columns, columns)) if n > 0]
    return [f"      ... {' and '.join(left)}"] if left else []


def _fit_lines(fit: Document, title: str) -> list[str]:
    condition = "infinite" if fit["condition_number"] is None else f"{fit['condition_number']:.3g}"
    lines = [
        f"  {title}: {fit['n_rows']} rows, {len(fit['columns'])} columns, rank {fit['rank']}, "
        f"dof {fit['dof']}, condition number {condition}",
        f"    reads {_some_names(fit.get('inputs') or fit['rows'])}",
        f"    columns: {', '.join(_shortened(fit['columns']))}",
    ]
    lines += [f"    depend on each other: {', '.join(group)}" for group in fit["dependent_columns"]]
    for contrast in fit["contrasts"]:
        inflation = contrast["variance_inflation"]
        mark = " (high)" if inflation and inflation > HIGH_INFLATION else ""
        shown = "" if inflation is None else f", variance inflation {inflation:.2f}{mark}"
        lines.append(f"    {contrast['test']} {contrast['name']}{shown}{_reach(contrast)}")
    lines += [f"    NOT MADE {name}: {reason}" for name, reason in fit["skipped"].items()]
    lines += [f"    writes {name}" for name in _patterns(fit)]
    lines += [f"    note: {note}" for note in fit["notes"] if not isinstance(note, Caution)]
    return lines


def _reach(contrast: Document) -> str:
    """Return how small the p of a contrast of the group can be by shuffling, as far as it is told."""
    if "not_shuffled" in contrast:
        return f"; not shuffled: {contrast['not_shuffled'].removesuffix('.')}"
    if "smallest_p" not in contrast:
        return ""
    n, there = contrast["n_shuffles"], contrast["arrangements"]
    of = (
        f"all {n:,}"
        if n == there
        else f"{n:,} of {there:,}"
        if there < MOST_COUNTED
        else f"{n:,} of {there:.1e}"
    )
    return f"; smallest p by shuffling {contrast['smallest_p']:.3g} ({of} arrangements)"


def _some_names(paths: Iterable[str]) -> str:
    """Return the names of files; of more than MOST_INPUTS only the first and how many there are.

    Files of one name are told with the folders that differ.
    """
    paths = list(paths)
    names = [PurePath(path).name for path in paths]
    if len(set(names)) < len(set(paths)):
        root = os.path.commonpath(paths)
        names = [PurePath(path).relative_to(root).as_posix() for path in paths]
    return ", ".join(names) if len(names) <= MOST_INPUTS else f"{names[0]} and {len(names) - 1} others"


def _shortened(columns: Iterable[str]) -> list[str]:
    """Return the names of columns, those numbered one after the other as their first and last."""
    shown: list[str] = []
    for _, group in groupby(columns, key=lambda name: re.sub(r"\d+$", "", name)):
        names = list(group)
        shown += names if len(names) < MOST_NUMBERED else [f"{names[0]} to {names[-1]}"]
    return shown


def _combination_lines(fit: Document) -> list[str]:
    """Return the lines of a combination; a mean needs no look at its design."""
    if len(fit["columns"]) > 1 or fit["skipped"]:
        return _fit_lines(fit, f"{fit['node']}: {fit['input_contrast'] or 'all contrasts'}")
    contrast = fit["input_contrast"] or "all contrasts"
    rows = "; ".join(row.removesuffix(contrast).strip() for row in fit["rows"])
    head = f"  {fit['node']}: {contrast}, {fit['method']} effects over {fit['n_rows']}: {rows}"
    return [head, *(f"    writes {name}" for name in _patterns(fit))]


def _patterns(fit: Document) -> list[str]:
    """Return the names of the outputs of a fit, those that differ in one part only as one pattern."""
    patterns: dict[tuple[str, str, str], list[str]] = {}
    for contrast in fit["contrasts"]:
        stem, _, rest = contrast["outputs"][0].partition("_contrast-")
        label, _, rest = rest.partition("_stat-")
        stats = ",".join(path.partition("_stat-")[2].partition("_")[0] for path in contrast["outputs"])
        patterns.setdefault((stem, stats, rest.partition("_")[2]), []).append(label)
    return [
        f"{stem}_contrast-{_braced(labels)}_stat-{{{stats}}}_{ending}"
        for (stem, stats, ending), labels in patterns.items()
    ]


def _braced(labels: Sequence[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{{{','.join(labels)}}}"


def table_lines(table: Document) -> list[str]:
    """Return the table of runs and contrasts; only where something is not made."""
    if not table["contrasts"]:
        return ["The model has no contrasts of runs."]
    missing = [row for row in table["rows"] if any(row["reasons"])]
    if not missing:
        return ["Every run makes all its contrasts."]
    width = max(len(row["run"]) for row in table["rows"])
    head = ["Contrasts by run: + made, - not made (the reason stands with the run)"]
    head += [f"  {number + 1:>3} {name}" for number, name in enumerate(table["contrasts"])]
    numbers = " ".join(f"{number + 1:>3}" for number in range(len(table["contrasts"])))
    marks = [
        f"{row['run']:<{width}} " + " ".join(f"{MARKS.get(reason, '-'):>3}" for reason in row["reasons"])
        for row in table["rows"]
    ]
    return [*head, f"{'':<{width}} {numbers}", *marks]


def _forecast_lines(cost: Document, largest: str = "participant") -> list[str]:
    return [
        f"Forecast: {cost['seconds']:.0f} s of one processor in all, within a factor of two; "
        f"{cost['memory_gb']:.2f} GB for the largest {largest}"
    ]
