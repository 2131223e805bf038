"""What was found: one line a contrast and threshold."""

from collections.abc import Sequence

from bidsapp.outputs.results import GroupResults
from bidsapp.outputs.saved.group import GroupContrastRecord
from bidsapp.records.documents import Document
from bidsapp.report.render import FigureBook, Section, render
from bidsapp.report.sections.about import anchor


def lead(all_results: Sequence[GroupResults]) -> str:
    """Return the sentence below the title of the group page."""
    if not all_results:
        return "No group analysis is finished yet."
    used = [results.record.n_subjects for results in all_results]
    contrasts = sum(len(r.record.contrasts) for r in all_results)
    subjects = f"{min(used)}" if min(used) == max(used) else f"{min(used)} to {max(used)}"
    words = [f"{subjects} subjects", f"{contrasts} contrast{'s' if contrasts != 1 else ''}"]
    if len(all_results) > 1:
        words.append(f"{len(all_results)} group models")
    return ", ".join(words)


def make_section(results: GroupResults, book: FigureBook) -> Section:
    """Return the table of findings."""
    rows = [_row(results, contrast) for contrast in results.record.contrasts]
    first = next((contrast for contrast in results.record.contrasts if contrast.main), None)
    content = render("group_findings.html", rows=rows, record=results.record, first=first)
    return Section(f"Findings: {results.name}", f"findings-{anchor(results)}", content)


def contrast_anchor(results: GroupResults, contrast: GroupContrastRecord) -> str:
    """Return the anchor of the section of a contrast."""
    index = [c.name for c in results.record.contrasts].index(contrast.name)
    return f"contrast-{anchor(results)}-{index + 1}"


def _row(results: GroupResults, contrast: GroupContrastRecord) -> Document:
    main = contrast.main
    strongest = None
    if main and results.has(main.peaks):
        peaks = results.read_table(main.peaks)
        if len(peaks):
            strongest = peaks.iloc[peaks[main.statistic].abs().argmax()].to_dict()
    return {
        "contrast": contrast,
        "anchor": contrast_anchor(results, contrast),
        "strongest": strongest,
        "label": next(
            (str(v) for k, v in (strongest or {}).items() if isinstance(v, str) and k != "sign"), ""
        ),
    }
