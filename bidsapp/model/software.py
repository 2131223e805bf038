"""The Software block of a node: what of it is ours, and what other programs would read."""

from collections.abc import Iterable
from typing import Any

from bidsapp.errors import SettingsError, did_you_mean, near_names, some_names
from bidsapp.model.faults import Spot
from bidsapp.model.modulations import has_unread, read_modulations
from bidsapp.model.notes import Notes
from bidsapp.model.schema import NodeShape
from bidsapp.model.strategy import parse_strategy
from bidsapp.model.text import read_number
from bidsapp.names import make_label
from bidsapp.records.documents import Document
from bidsapp.records.model import SHORT_NAMES

NAME = "TaskGLM"
# Our keys, the levels whose nodes read them, and their values (none: checked by a function of its own).
OURS: dict[str, tuple[tuple[str, ...], tuple[str | bool, ...]]] = {
    "Confounds": (("Run",), ()),
    "Descriptive": (("Dataset",), ()),
    "GroupWeights": (("Dataset",), ("equal", "size")),
    "JointF": (("Session", "Subject"), (True, False)),
    "PartialF": (("Run",), (True, False)),
    "SubjectContrasts": (("Dataset",), ()),
    "SubjectLevel": (("Session", "Subject"), ("fixed", "ols")),
}
# A note names no more keys.
MAX_LISTED = 8


def read_software(node: Document, notes: Notes) -> None:
    """Bring the Software of a node (a parsed JSON object) into today's form, our names as we spell them."""
    model = node["Model"]
    software = model.get("Software")
    if isinstance(software, list) and all(isinstance(item, dict) for item in software):
        # A list of objects, one a program, which an earlier draft of the specification had.
        software = model["Software"] = {name: value for item in software for name, value in item.items()}
        notes.append("Software is a list: read as one object", model, "Software")
    if not isinstance(software, dict):
        return
    _spell(software, (NAME,), notes)
    if isinstance(software.get(NAME), dict):
        _spell(software[NAME], OURS, notes)
    if node.get("Level") == "Run":
        read_modulations(node, notes)
    _set_aside(node, software, notes)


def _spell(table: Document, names: Iterable[str], notes: Notes) -> None:
    """Give keys that differ from our names by case or underscores only these names."""
    plain = {name.lower(): name for name in names}
    for key in list(table):
        name = plain.get(key.lower().replace("_", ""))
        if name and name not in table:
            notes.rename(table, key, name)


def _set_aside(node: Document, software: Document, notes: Notes) -> None:
    """Mark as comments what other programs read, but not what may be meant for us, to be refused."""
    others = [name for name in software if name != NAME and not name.startswith(("_", "$"))]
    others = [name for name in others if not _is_near(name)]
    if has_unread(software):
        others.remove("SPM")
    if others:
        shown = ", ".join(f"{name} ({_listed(software[name])})" for name in others)
        where = node.get("Name", node.get("Level"))
        notes.append(f"{where}: Software of other programs is not read: {shown}", node["Model"], "Software")
    for name in others:
        software[f"_{name}"] = software.pop(name)


def _is_near(name: str) -> bool:
    return bool(near_names(name, [NAME], cutoff=0.8, fold=True))


def check_software(shape: NodeShape, spot: Spot) -> None:
    """Note faults of our keys, and of what may be meant for us."""
    software = shape.Model.Software or {}
    if has_unread(software):
        spot.at("SPM", "ParametricModulations").fault(
            "only the first power of one column at the events of one condition (column.level) is read. Write "
            "the modulation as transformations (Filter and Demean, or Product and Assign) and name it in X.",
        )
    for name in software:
        if name != NAME and _is_near(name):
            spot.at(name).fault(f"unknown program; did you mean {NAME!r}?")
    for key, value in software.get(NAME, {}).items():
        _check_key(key, value, shape.Level, spot.at(NAME, key))


def _listed(value: Any) -> str:
    return some_names(value if isinstance(value, dict) else [str(value)[:40]], MAX_LISTED)


def _check_key(key: str, value: Any, level: str, spot: Spot) -> None:
    if key not in OURS:
        hint = did_you_mean(key, OURS, f"there are {', '.join(OURS)}.", "did you mean")
        spot.fault(f"unknown key; {hint}")
        return
    levels, values = OURS[key]
    if level not in levels:
        spot.fault(f"belongs to a {' or '.join(levels)} node; a {level} node does not read it. Move it.")
    elif key == "Confounds":
        _check_strategy(value, spot)
    elif key == "SubjectContrasts":
        _check_subject_contrasts(value, spot)
    elif key == "Descriptive":
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            spot.fault("must be a list of names of contrasts.")
    elif value not in values:
        spot.fault(f"must be one of {', '.join(map(str, values))}.")


def _check_subject_contrasts(items: Any, spot: Spot) -> None:
    """Check contrasts within subjects: a list of objects with Name, Cells and rows of Weights."""
    names: set[str] = set()
    for index, item in enumerate(items if isinstance(items, list) else [None]):
        where = spot.at(index)
        if not isinstance(item, dict) or set(item) != {"Name", "Cells", "Weights"}:
            where.fault("must be an object with Name, Cells (contrasts) and Weights (rows).")
            continue
        _check_own_name(item["Name"], names, where.at("Name"))
        cells, rows = item["Cells"], item["Weights"]
        if not isinstance(cells, list) or not isinstance(rows, list) or not cells or not rows:
            where.fault("Cells and Weights must be lists that are not empty.")
        elif not _are_cells(cells):
            where.at("Cells").fault(
                'must be names of contrasts, each once, or objects of labels such as {"session": "pre"}, '
                "all of the same entities."
            )
        elif any(not isinstance(row, list) or len(row) != len(cells) for row in rows):
            where.at("Weights").fault(f"every row must hold {len(cells)} numbers, one for each cell.")
        elif any(read_number(weight) is None for row in rows for weight in row):
            where.at("Weights").fault('must hold numbers, or fractions such as "1/3".')


def _are_cells(cells: list[Any]) -> bool:
    """Whether cells are contrasts by their names, or by the labels of what tells them apart; each once."""
    if any(cells.count(cell) > 1 for cell in cells):
        return False
    if all(isinstance(cell, str) for cell in cells):
        return True
    known = {*SHORT_NAMES, "contrast"} - {"subject"}
    return all(
        isinstance(cell, dict)
        and cell
        and cell.keys() == cells[0].keys()
        and cell.keys() <= known
        and all(isinstance(label, str) for label in cell.values())
        for cell in cells
    )


def _check_own_name(name: Any, taken: set[str], spot: Spot) -> None:
    """Note a name that is no text, or has the file name of an earlier one; add its label to those taken."""
    if not isinstance(name, str) or not name.strip():
        spot.fault("must be a text.")
    elif make_label(name) in taken:
        spot.fault(f"{name!r:.60} has the file name of an earlier one.")
    else:
        taken.add(make_label(name))


def _check_strategy(text: Any, spot: Spot) -> None:
    try:
        parse_strategy(str(text))
    except SettingsError as error:
        spot.fault(str(error).removeprefix("--confounds: "))
