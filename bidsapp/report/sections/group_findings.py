"""What is to be known of all contrasts of a model."""

from collections.abc import Sequence

from bidsapp.outputs.results import GroupResults
from bidsapp.report.render import FigureBook, Section, render


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


def make_section(results: GroupResults, book: FigureBook) -> Section | None:
    """Return what is to be known of the whole model, None where there is nothing."""
    if results.record.status == "complete" and not results.record.warnings:
        return None
    return Section("Remarks", "remarks", render("group_findings.html", record=results.record))
