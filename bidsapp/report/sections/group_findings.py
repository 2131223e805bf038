"""What was found: one line a contrast and threshold."""

from collections.abc import Sequence

from bidsapp.outputs.results import Results
from bidsapp.records.documents import Document
from bidsapp.report.methods import count_subjects
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.about import anchor


def lead(all_results: Sequence[Results]) -> str:
    """Return the sentence below the title of the group page."""
    if not all_results:
        return "No group analysis is finished yet."
    used = [count_subjects(r.record) for r in all_results]
    contrasts = sum(len(r.record["contrasts"]) for r in all_results)
    subjects = f"{min(used)}" if min(used) == max(used) else f"{min(used)} to {max(used)}"
    words = [f"{subjects} subjects", f"{contrasts} contrast{'s' if contrasts != 1 else ''}"]
    if len(all_results) > 1:
        words.append(f"{len(all_results)} group models")
    return ", ".join(words)


def make_section(results: Results, book: FigureBook) -> Section:
    """Return the table of findings."""
    rows = [_row(results, contrast) for contrast in results.record["contrasts"]]
    first = next((row for row in rows if row["main"]), {})
    content = render("group_findings.html", rows=rows, record=results.record, first=first)
    return Section(f"Findings: {results.name}", f"findings-{anchor(results)}", content)


def main_threshold(contrast: Document) -> Document | None:
    """Return the main threshold of a contrast of a record, None where it has none."""
    return next(iter(contrast["thresholds"]), None)


def contrast_anchor(results: Results, contrast: Document) -> str:
    """Return the anchor of the section of a contrast."""
    index = [c["name"] for c in results.record["contrasts"]].index(contrast["name"])
    return f"contrast-{anchor(results)}-{index + 1}"


def _row(results: Results, contrast: Document) -> Document:
    main = main_threshold(contrast)
    strongest = None
    if main and results.has(main["peaks"]):
        peaks = results.read_table(main["peaks"])
        if len(peaks):
            strongest = peaks.loc[peaks[main["statistic"]].abs().idxmax()].to_dict()
    return {
        "contrast": contrast,
        "anchor": contrast_anchor(results, contrast),
        "main": main,
        "chosen": contrast["main_threshold"],
        "strongest": strongest,
        "label": next(
            (str(v) for k, v in (strongest or {}).items() if isinstance(v, str) and k != "sign"), ""
        ),
    }
