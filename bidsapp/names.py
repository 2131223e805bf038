"""Every output path is built here, and nowhere else.

Order of a name: the entities of the source in BIDS order, then ``node``, ``contrast``, ``stat`` and
``desc``, then the suffix. BIDS 1.11 defines no name for statistical maps; these follow the draft of its
extension 41, FitLins and nilearn.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

from bidsapp.errors import ModelError

# Short names of entities to their values; those without one (None, "") are left out of names.
Entities: TypeAlias = Mapping[str, str | None]

MAP_SUFFIX = "statmap"
MAPS = f"*_{MAP_SUFFIX}.nii*"
ENTITY_ORDER = (
    "sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part", "hemi", "space", "cohort",
    "res", "den", "node", "contrast", "stat", "label", "desc",
)  # fmt: skip

# Signs that are conditions by themselves, and letters that have no accent to lose.
SIGNS = {
    "+": "plus", "-": "minus", "\u2212": "minus", "=": "equal", "<": "less", ">": "greater", "?": "question",
    "!": "exclamation", "*": "star", "#": "number", "%": "percent", "&": "and", "@": "at", "~": "about",
    "$": "dollar", "^": "hat", "|": "bar",
}  # fmt: skip
LETTERS = {
    "\u00df": "ss", "\u00e6": "ae", "\u00c6": "Ae", "\u00f8": "o", "\u00d8": "O", "\u0153": "oe",
    "\u0152": "Oe", "\u0142": "l", "\u0141": "L", "\u0111": "d", "\u0110": "D", "\u0131": "i",
    "\u00fe": "th", "\u00f0": "d",
}  # fmt: skip


@lru_cache(maxsize=10_000, typed=True)
def make_label(text: object) -> str:
    """Return text as an alphanumeric label: every other character is a word break, then camelCase.

    "face vs.house" is "faceVsHouse". Accented letters lose their accents; letters of other alphabets are
    their code points ("\u9854" is "u9854"). Text of signs alone is their names ("+" is "plus"), and so are
    the sign of a number ("-1" is "minus1") and signs at the end: these tell conditions apart. Text without
    anything of that kind gives "x".
    """
    text = "".join(map(_latin, unicodedata.normalize("NFKD", str(text))))
    # Signs that are all there is, or all after a dot; the last ones; the sign of a number.
    text = re.sub(
        r"(?:^|(?<=\.))[^\w\s]+$|(?<=[0-9A-Za-z])[-+]+$|(?<![0-9A-Za-z])[-+](?=[0-9])", _sign_words, text
    )
    words: list[str] = re.findall(r"[0-9A-Za-z]+", text)
    if not words:
        return "x"
    return words[0] + "".join(word[0].upper() + word[1:] for word in words[1:])


def _sign_words(match: re.Match[str]) -> str:
    return " ".join(["", *(SIGNS.get(sign, "") for sign in match[0])])


def _latin(character: str) -> str:
    """Return a letter as Latin ones, or as its code point; an accent as nothing."""
    if character in LETTERS:
        return LETTERS[character]
    if unicodedata.combining(character):
        return ""
    is_letter = character.isalnum() and not character.isascii()
    return f" u{ord(character):04x} " if is_letter else character


def is_plain(text: str) -> bool:
    """Whether a label says the same as its text: nothing but ASCII letters, digits and word breaks in it."""
    return text.isascii() and bool(re.search(r"[0-9A-Za-z]", text)) and not re.match(r"[-+]", text)


def check_labels(names: Iterable[str], what: str) -> None:
    """Raise ModelError when two names give the same label, naming both."""
    seen: dict[str, str] = {}
    for name in names:
        label = make_label(name)
        if label in seen and seen[label] != name:
            message = (
                f"{what} {seen[label]!r} and {name!r} give the same file name label {label!r}. Rename one."
            )
            raise ModelError(message)
        seen[label] = name


def make_name(entities: Entities, suffix: str, extension: str) -> str:
    """Return a file name from entities (short names to values), a suffix and an extension with its dot."""
    unknown = set(entities) - set(ENTITY_ORDER)
    if unknown:
        raise ValueError(f"no place in a file name for {sorted(unknown)}")
    parts = [f"{key}-{make_label(entities[key])}" for key in ENTITY_ORDER if entities.get(key)]
    return "_".join([*parts, suffix]) + extension


def top_folder(entities: Entities) -> str:
    """Return the folder of all files of a subject, or of the group: ``sub-01`` or ``group``."""
    return f"sub-{make_label(entities['sub'])}" if "sub" in entities else "group"


def folder_of(entities: Entities) -> str:
    """Return the folder of a file, relative to the output folder: ``sub-01/ses-1/func`` or ``group``."""
    if "sub" not in entities:
        return top_folder(entities)
    parts = [top_folder(entities)]
    if entities.get("ses"):
        parts.append(f"ses-{make_label(entities['ses'])}")
    return "/".join([*parts, "func"])


def map_path(entities: Entities, *, node: str, contrast: str, stat: str, desc: str | None = None) -> str:
    """Return the path of a statistical map, relative to the output folder."""
    full = {**entities, "node": node, "contrast": contrast, "stat": stat, "desc": desc}
    return f"{folder_of(entities)}/{make_name(full, MAP_SUFFIX, '.nii.gz')}"


def model_fit_path(entities: Entities, *, node: str, stat: str) -> str:
    """Return the path of a map of the model's fit (``rsquare``, ``sigmasquared``, ``ar1``, ``tsnr``)."""
    full = {**entities, "node": node, "stat": stat}
    return f"{folder_of(entities)}/{make_name(full, MAP_SUFFIX, '.nii.gz')}"


def mask_path(entities: Entities, *, node: str | None = None) -> str:
    """Return the path of an analysis mask; stock BIDS has no node entity on masks, so desc carries it."""
    full = {**entities, "desc": make_label(node) if node else "analysis"}
    return f"{folder_of(entities)}/{make_name(full, 'mask', '.nii.gz')}"


def tested_effects_path(entities: Entities, *, node: str, contrast: str) -> str:
    """Return the path of the effects of all inputs as they are tested, a volume an input."""
    full = {**entities, "node": node, "contrast": contrast, "desc": "tested"}
    return f"{folder_of(entities)}/{make_name(full, 'effects', '.nii.gz')}"


def mean_anatomy_path(entities: Entities, node: str) -> str:
    """Return the path of the mean T1w image of the participants of a Dataset node."""
    return f"{folder_of(entities)}/{make_name({**entities, 'node': node, 'desc': 'mean'}, 'T1w', '.nii.gz')}"


def coverage_path(entities: Entities, *, node: str, contrast: str) -> str:
    """Return the path of the map of how many inputs cover each voxel."""
    return map_path(entities, node=node, contrast=contrast, stat="coverage")


def residuals_path(entities: Entities) -> str:
    """Return the path of a residual series."""
    return f"{folder_of(entities)}/{make_name({**entities, 'desc': 'residuals'}, 'bold', '.nii.gz')}"


def clusters_label_path(entities: Entities, *, node: str, contrast: str, desc: str) -> str:
    """Return the path of a cluster label image."""
    full = {**entities, "node": node, "contrast": contrast, "desc": desc}
    return f"{folder_of(entities)}/{make_name(full, 'dseg', '.nii.gz')}"


def table_path(
    entities: Entities, kind: str, *, node: str, contrast: str | None = None, desc: str | None = None
) -> str:
    """Return the path of a table: design, contrasts, clusters, peaks, strongest, nullmax, influence."""
    full = {**entities, "node": node, "contrast": contrast, "desc": desc}
    return f"{folder_of(entities)}/{make_name(full, kind, '.tsv')}"


def design_path(entities: Entities, *, node: str, contrast: str | None = None) -> str:
    """Return the path of a design matrix; one a run, whatever the space of its images."""
    return table_path(_without_space(entities), "design", node=node, contrast=contrast)


def contrasts_path(entities: Entities, *, node: str) -> str:
    """Return the path of the table of contrast weights."""
    return table_path(_without_space(entities), "contrasts", node=node)


def figure_path(entities: Entities, kind: str, *, extension: str = ".svg", **more: str | None) -> str:
    """Return the path of a figure; ``more`` are further entities: node, contrast, stat, desc."""
    full = {**entities, **more}
    return f"{top_folder(entities)}/figures/{make_name(full, kind, extension)}"


def sidecar_path(path: str) -> str:
    """Return the path of the JSON sidecar of a data file."""
    for ending in (".nii.gz", ".tsv"):
        if path.endswith(ending):
            return path.removesuffix(ending) + ".json"
    raise ValueError(f"{path} has no sidecar")


def model_path(name: str) -> str:
    """Return the path of the model that was used."""
    return f"code/model-{make_label(name)}_smdl.json"


def model_readme_path(name: str) -> str:
    """Return the path of the page that explains the model."""
    return f"code/model-{make_label(name)}_README.md"


def record_path(subject: str) -> str:
    """Return the path of the record of a finished subject; ``group`` records have a node, see below."""
    return f"logs/sub-{make_label(subject)}_participant.json"


def lock_path(subject: str) -> str:
    """Return the path of the lock that a job holds while it works on a subject."""
    return f"logs/.sub-{make_label(subject)}.lock"


def traceback_path(subject: str) -> str:
    """Return the path of what a developer needs to know of an error that should not have been."""
    return f"logs/sub-{make_label(subject)}_traceback.txt"


def group_record_path(entities: Entities, node: str) -> str:
    """Return the path of the record of a finished Dataset node."""
    return f"logs/{make_name({**entities, 'node': node}, 'group', '.json')}"


def shuffle_state_path(entities: Entities, node: str, contrast: str) -> str:
    """Return the path of what an interrupted run needs to go on shuffling; removed when it is done."""
    return f"logs/{make_name({**entities, 'node': node, 'contrast': contrast}, 'shuffles', '.npz')}"


def subject_report_path(subject: str) -> str:
    """Return the path of a subject's report."""
    return f"sub-{make_label(subject)}.html"


def group_report_path(entities: Entities, *, node: str, contrast: str | None = None) -> str:
    """Return the path of the page of a group model, or of one of its contrasts."""
    full = {**entities, "node": node, "contrast": contrast}
    return f"{folder_of(entities)}/{make_name(full, 'report', '.html')}"


def export_path(entities: Entities, kind: str, *, node: str, contrast: str, extension: str = ".zip") -> str:
    """Return the path of a zip of a contrast for others."""
    full = {**entities, "node": node, "contrast": contrast}
    return f"{EXPORTED}/{make_name(full, kind, extension)}"


def citation_path(extension: str) -> str:
    """Return the path of the methods text; extension is ``.html``, ``.md``, ``.tex`` or ``.bib``."""
    return f"logs/CITATION{extension}"


SUBJECT_RECORDS, GROUP_RECORDS = "logs/sub-*_participant.json", "logs/*_group.json"
GROUP_REPORT, GROUP_REPORTS = "group.html", "group/*_report.html"
OVERVIEW_REPORT = "index.html"
EXPORTED = "group/export"


def _without_space(entities: Entities) -> Entities:
    return {key: value for key, value in entities.items() if key not in ("space", "res", "den")}
