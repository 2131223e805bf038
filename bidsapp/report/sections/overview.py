"""All subjects and contrasts at a glance."""

from bidsapp.outputs.names import GROUP_REPORT, figure_path, subject_report_path
from bidsapp.report.drawing.glass import draw_glass_brain
from bidsapp.report.render import Section, render
from bidsapp.report.sections.subject_contrasts import colour_limit, read_z
from bidsapp.report.sections.subject_summary import final


def lead(subjects, groups):
    """Return the sentence below the title."""
    words = [f"{len(subjects)} subject{'s' if len(subjects) != 1 else ''}"]
    words.append(
        f"{len(groups)} group model{'s' if len(groups) != 1 else ''}" if groups else "no group analysis yet"
    )
    return ", ".join(words)


def make_sections(subjects, groups, book):
    """Return the links and, for each contrast, the grid of glass brains."""
    rows = [
        {
            "name": s.name,
            "href": subject_report_path(s.record["subject"]),
            "record": s.record,
            "there": (s.folder / subject_report_path(s.record["subject"])).is_file(),
        }
        for s in subjects
    ]
    content = render("overview.html", rows=rows, groups=groups, group_href=GROUP_REPORT)
    sections = [Section("Reports", "reports", content)]
    names = list(dict.fromkeys(e["contrast"] for s in subjects for e in final(s)))
    return sections + [_grid(subjects, name, i, book) for i, name in enumerate(names, start=1)]


def _grid(subjects, name, index, book):
    cells = []
    for subject in subjects:
        for estimate in final(subject):
            if estimate["contrast"] == name and subject.has(estimate["maps"].get("z")):
                cells.append((subject, estimate, read_z(subject, estimate)))
    limit = colour_limit(*(volume for _, _, volume in cells))
    drawn = [_cell(book, *cell, limit) for cell in cells]
    return Section(name, f"grid-{index}", render("overview_grid.html", cells=drawn, limit=limit), level=2)


def _cell(book, subject, estimate, volume, limit):
    alt = f"Glass brain of the z map of {estimate['contrast']}, {subject.name}"
    path = figure_path(
        estimate["entities"],
        "glass",
        node=estimate["node"],
        contrast=estimate["contrast"],
        stat="z",
        desc="overview",
    )
    entities = ", ".join(f"{k}-{v}" for k, v in estimate["entities"].items() if k in ("ses", "task", "run"))
    return {
        "name": subject.name,
        "where": entities,
        "href": subject_report_path(subject.record["subject"]),
        "drawing": book.add(draw_glass_brain(volume, limit=limit, alt=alt), path),
    }
