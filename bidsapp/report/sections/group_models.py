"""The group models of an output folder, where there are several or none."""

from collections.abc import Sequence

from bidsapp.outputs.results import GroupResults
from bidsapp.report.numbers import count
from bidsapp.report.render import FigureBook, Section, render


def lead(all_results: Sequence[GroupResults]) -> str:
    """Return the sentence below the title of the group page."""
    if not all_results:
        return "No group analysis is finished yet."
    used = [results.record.n_subjects for results in all_results]
    contrasts = sum(len(r.record.contrasts) for r in all_results)
    subjects = f"{min(used)}" if min(used) == max(used) else f"{min(used)} to {max(used)}"
    words = [f"{subjects} subjects", count(contrasts, "contrast")]
    if len(all_results) > 1:
        words.append(f"{len(all_results)} group models")
    return ", ".join(words)


def make_section(models: Sequence[tuple[GroupResults, str]], book: FigureBook) -> Section:
    """Return the list of models; with each the address of its page."""
    return Section("Group models", "models", render("group_models.html", models=models))
