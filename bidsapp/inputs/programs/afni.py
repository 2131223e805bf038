"""AFNI: buckets of 3dREMLfit and 3dDeconvolve, by the labels of their sub-bricks."""

import html
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bidsapp.errors import Caution, InputError, some_names
from bidsapp.inputs.dataset.selection import natural_key
from bidsapp.inputs.images.read import open_image
from bidsapp.inputs.programs.found import Program, Results, make_found
from bidsapp.records.maps import Reading

EXTENSIONS = (".HEAD", ".nii", ".nii.gz")
# Buckets by the names of afni_proc.py; not the parameters of the noise.
BUCKET, NOISE = "stats*", "REMLvar"
# AFNI's extension of NIfTI headers, and its code of t.
ECODE, CODE_T = 4, 3
COEFFICIENT, T = "_Coef", "_Tstat"


def find(root: Path) -> list[Path]:
    """Return the buckets that ``afni_proc.py`` names in a folder, or the one that is named."""
    if root.is_file():
        head = re.sub(r"\.BRIK(\.gz|\.bz2|\.Z)?$", ".HEAD", root.name)
        return [root.with_name(head)] if head.endswith(EXTENSIONS) else []
    paths = (path for path in root.rglob(BUCKET) if path.name.endswith(EXTENSIONS))
    return sorted((path for path in paths if NOISE not in path.name), key=lambda path: natural_key(str(path)))


def read(path: Path) -> Results:
    """Return the coefficients of a bucket by the names of their regressors and general linear tests."""
    said = _read_attributes(path)
    labels = _strings(said.get("BRICK_LABS"))
    if not labels:
        raise InputError(
            f"{path} has no labels of sub-bricks, as AFNI writes them. Name the bucket itself (.HEAD, or "
            "NIfTI as 3dREMLfit wrote it), or its maps in a table (.tsv)."
        )
    n_volumes = math.prod(open_image(path).shape[3:])
    if len(labels) != n_volumes:
        raise InputError(f"{path} has {n_volumes} sub-bricks and {len(labels)} labels. Make it again.")
    bases = {
        label.removesuffix(COEFFICIENT): i for i, label in enumerate(labels) if label.endswith(COEFFICIENT)
    }
    if not bases:
        raise InputError(
            f"{path} has no sub-brick whose label ends in {COEFFICIENT}; there are {some_names(labels)}. "
            "Name a bucket of 3dREMLfit (-Rbuck) or 3dDeconvolve (-bucket)."
        )
    dof = _read_dof(path, said.get("BRICK_STATAUX"))
    found = []
    for name, (base, number) in zip(_plain_names(list(bases)), bases.items(), strict=True):
        t = labels.index(base + T) if base + T in labels else None
        found.append(
            make_found(
                path,
                name,
                variance=None if t is None else path,
                dof=math.nan if t is None else dof.get(t, math.nan),
                reading=Reading(effect=number, variance=t, variance_from="t"),
                Software="AFNI",
            )
        )
    return found, _make_notes(path, labels, list(bases), said)


def _plain_names(bases: Sequence[str]) -> list[str]:
    """Return the names of coefficients: without ``#0`` and ``_GLT`` where these tell nothing apart."""
    for ending in (r"#\d+$", "_GLT$"):
        shorter = [re.sub(ending, "", base) for base in bases]
        counts = Counter(shorter)
        bases = [short if counts[short] == 1 else base for short, base in zip(shorter, bases, strict=True)]
    return list(bases)


def _make_notes(path: Path, labels: Sequence[str], bases: Sequence[str], said: dict[str, Any]) -> list[str]:
    stems = {re.sub(r"#\d+$", "", base) for base in bases}
    alone = [
        label for label in labels if label.endswith("_Fstat") and label.removesuffix("_Fstat") not in stems
    ]
    notes = [f"{label} has no effect: it is left out" for label in alone]
    if said.get("SCENE_DATA") and int(said["SCENE_DATA"][0]) == 0:
        notes.append(
            Caution(
                "AFNI: some buckets have the view +orig. If they are in the space of the participant, bring "
                "them to a template first (the tlrc block of afni_proc.py)"
            )
        )
    return notes


def _read_attributes(path: Path) -> dict[str, Any]:
    """Return AFNI's attributes of a dataset: texts, and lists of numbers."""
    header: Any = open_image(path).header
    if hasattr(header, "info"):
        return {
            name: value if isinstance(value, str | list | tuple) else [value]
            for name, value in header.info.items()
        }
    texts = [
        extension.get_content()
        for extension in getattr(header, "extensions", [])
        if extension.get_code() == ECODE
    ]
    text = b"".join(one if isinstance(one, bytes) else str(one).encode() for one in texts).decode(
        errors="replace"
    )
    return dict(
        _read_attribute(about, inside) for about, inside in re.findall(r"<AFNI_atr\b([^>]*)>([^<]*)<", text)
    )


def _read_attribute(about: str, inside: str) -> tuple[str, Any]:
    """Return name and value of an element ``AFNI_atr``; long texts are written in parts."""
    name = re.search(r"atr_name\s*=\s*[\"'](\w+)", about)
    if "String" in about:
        parts = re.findall(r'"([^"]*)"', inside) or [inside.strip()]
        return name[1] if name else "", html.unescape("".join(parts))
    return name[1] if name else "", [_number(word) for word in inside.split()]


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _strings(text: Any) -> list[str]:
    return (
        text.strip("~\0").replace("\0", "~").split("~")
        if isinstance(text, str) and text.strip("~\0 ")
        else []
    )


def _read_dof(path: Path, values: Any) -> dict[int, float]:
    """Return sub-brick -> degrees of freedom of t, by BRICK_STATAUX: brick, code, n, n parameters."""
    rest, found = list(values or []), {}
    while len(rest) >= 3 and all(map(math.isfinite, rest[:3])):
        brick, code, n_parameters = map(int, rest[:3])
        if code == CODE_T and n_parameters == 1 and len(rest) > 3:
            found[brick] = float(rest[3])
        rest = rest[3 + max(n_parameters, 0) :]
    if rest:
        raise InputError(f"{path}: its attribute BRICK_STATAUX is damaged. Make the bucket again.")
    return found


AFNI = Program(
    words="AFNI",
    results="bucket stats*.HEAD or stats*.nii.gz",
    units="effects are in the unit of the series: percent, where the series were scaled to percent",
    find=find,
    read=read,
)
