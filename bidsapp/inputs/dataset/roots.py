"""Where the raw dataset and its derivatives are, and which subjects they hold."""

from collections.abc import Iterable, Sequence
from glob import escape
from pathlib import Path
from urllib.parse import unquote, urlparse

from bidsapp.errors import EXIT_NO_INPUT, EXIT_NOT_BIDS, InputError, SettingsError
from bidsapp.inputs.dataset.index import read_description
from bidsapp.inputs.dataset.selection import natural_key
from bidsapp.inputs.tables.participants import find_participants, read_participants
from bidsapp.settings.parts import Selection

PREPROCESSED = ("*_desc-preproc_bold.nii*", "*_preproc.nii*")
# Whatever a derivative calls its images: a filter file may ask for them, and surfaces are refused by name.
ANY_BOLD = ("*_bold.nii*", "*_preproc.nii*", "*_bold.func.gii", "*_bold.dtseries.nii")


def find_roots(bids_dir: Path, derivatives: Iterable[str]) -> tuple[Path, dict[str, Path]]:
    """Return the raw dataset and the derivatives by name.

    Parameters
    ----------
    bids_dir : Path
        A raw dataset, or a derivative: its raw dataset is then two folders up, or where its DatasetLinks say.
    derivatives : sequence of str
        ``[NAME=]PATH`` of derivatives, or of folders of them; none: those in ``bids_dir/derivatives``, or
        ``bids_dir`` itself.

    Raises
    ------
    InputError
        A folder is missing, or holds no subject.
    """
    bids_dir = Path(bids_dir)
    if not bids_dir.is_dir():
        raise InputError(f"BIDS_DIR: there is no folder {bids_dir}.", exit_code=EXIT_NO_INPUT)
    named = [_named_folder(text) for text in derivatives]
    if named:
        return bids_dir, _unique_names(pair for name, path in named for pair in _derivatives_at(name, path))
    itself = is_derivative(bids_dir)
    inside = [] if itself else _derivatives_inside(bids_dir / "derivatives")
    if inside:
        return bids_dir, _unique_names(inside)
    if itself or _holds(bids_dir, PREPROCESSED):
        return _raw_of(bids_dir), {bids_dir.name: bids_dir}
    if not subject_labels(bids_dir):
        message = f"{bids_dir} is not a BIDS dataset: it has no sub-<label> folder."
        raise InputError(message, exit_code=EXIT_NOT_BIDS)
    raise InputError(
        f"No derivatives with preprocessed BOLD in {bids_dir / 'derivatives'}. "
        "Name the folder of fMRIPrep's output with --derivatives.",
        exit_code=EXIT_NO_INPUT,
    )


def labels_at(bids_dir: Path, selection: Selection) -> tuple[set[str], set[str]]:
    """Return the labels of the raw dataset, and those of its derivatives; empty where they are not at hand.

    A group may be analysed where only its participants' results are.
    """
    raw, derivatives = roots_at_hand(bids_dir, selection.derivatives)
    return set(subject_labels(raw)), {label for root in derivatives for label in subject_labels(root)}


def labels_without_bold(labels: Iterable[str], bids_dir: Path, selection: Selection) -> set[str]:
    """Return the labels that no derivative has BOLD images of; none where there are no derivatives."""
    _, roots = roots_at_hand(bids_dir, selection.derivatives)
    known = labels if roots else ()
    return {label for label in known if not any(_holds(root, ANY_BOLD, escape(label)) for root in roots)}


def roots_at_hand(bids_dir: Path, named: Sequence[str] = ()) -> tuple[Path, list[Path]]:
    """Return the raw dataset and its derivatives, none where they are not to be found."""
    try:
        raw, derivatives = find_roots(bids_dir, named)
    except InputError:
        return bids_dir, []
    return raw, list(derivatives.values())


def known_participants(bids_dir: Path, selection: Selection, wanted: Iterable[str]) -> set[str]:
    """Return the labels of everybody that the dataset and its derivatives know.

    Where they lack one of those wanted, those of participants.tsv, too.
    """
    known = set().union(*labels_at(bids_dir, selection))
    path = None if known >= set(wanted) else find_participants(bids_dir)
    return known | set(read_participants(path).index) if path else known


def is_derivative(folder: Path) -> bool:
    """Whether a folder's description says that it is a derivative."""
    description = read_description(folder)
    if "DatasetType" in description:
        return bool(description["DatasetType"] == "derivative")
    return "PipelineDescription" in description or "GeneratedBy" in description


def subject_labels(folder: Path) -> list[str]:
    """Return the labels of the subject folders, in natural order."""
    labels = [path.name.removeprefix("sub-") for path in Path(folder).glob("sub-*") if path.is_dir()]
    return sorted(labels, key=natural_key)


def _named_folder(text: str) -> tuple[str, Path]:
    name, separator, path = str(text).partition("=")
    if not separator or Path(text).is_dir():
        name, path = "", str(text)
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise SettingsError(f"--derivatives: there is no folder {path}.", exit_code=EXIT_NO_INPUT)
    return name, folder


def _derivatives_at(name: str, folder: Path) -> list[tuple[str, Path]]:
    """Return a derivative as it is, or the derivatives inside a folder of them."""
    inside = [] if subject_labels(folder) else _derivatives_inside(folder)
    return inside or [(name or folder.resolve().name, folder)]


def _derivatives_inside(folder: Path) -> list[tuple[str, Path]]:
    if not folder.is_dir():
        return []
    found = [(path.name, path) for path in sorted(folder.iterdir()) if _holds(path, ANY_BOLD)]
    return found or ([(folder.name, folder)] if _holds(folder, ANY_BOLD) else [])


def _holds(folder: Path, patterns: Sequence[str], label: str = "*") -> bool:
    """Whether a folder holds BOLD images of these names, looking no further than the first."""
    places = (f"sub-{label}/func", f"sub-{label}/ses-*/func")
    return any(True for place in places for names in patterns for _ in folder.glob(f"{place}/{names}"))


def _unique_names(pairs: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Return name -> folder; of folders with one name, the later ones are counted."""
    table: dict[str, Path] = {}
    for name, folder in pairs:
        unique, count = name, 1
        while unique in table and table[unique] != folder:
            count += 1
            unique = f"{name}{count}"
        table[unique] = folder
    return table


def _raw_of(derivative: Path) -> Path:
    """Return the raw dataset of a derivative: by its links, or two folders up, or else itself."""
    folder = Path(derivative).resolve()
    links = read_description(folder).get("DatasetLinks")
    link = links.get("raw") if isinstance(links, dict) else None
    target = unquote(urlparse(link).path) if isinstance(link, str) else ""
    options = [folder / target] if target else []
    if folder.parent.name == "derivatives":
        options.append(folder.parents[1])
    for option in options:
        if option.is_dir() and option != folder and subject_labels(option):
            return option
    return Path(derivative)
