"""The group models of an output folder, where there are several or none."""

from collections.abc import Sequence

from bidsapp.outputs.results import GroupResults
from bidsapp.report.render import FigureBook, Section, render


def make_section(models: Sequence[tuple[GroupResults, str]], book: FigureBook) -> Section:
    """Return the list of models; with each the address of its page."""
    return Section("Group models", "models", render("group_models.html", models=models))
