"""One zip for a reviewer: pages, tables, maps, model, commands, versions, digests, and what each file is."""

import posixpath
import re
import textwrap
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bidsapp.names import (
    EXPORTED,
    GROUP_RECORDS,
    GROUP_REPORT,
    GROUP_REPORTS,
    OVERVIEW_REPORT,
    SUBJECT_RECORDS,
    sidecar_path,
)
from bidsapp.outputs.earlier import measure_files
from bidsapp.outputs.exports.archive import PACKED, digest, read_bytes, write_zip
from bidsapp.outputs.exports.places import Places
from bidsapp.outputs.files import read_json
from bidsapp.outputs.results import GroupResults, read_all_subject_results
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.version import __version__

MAX_BYTES = 50_000_000
# Of it, for README.txt, the digests and the zip's own directory.
RESERVED = 500_000
ENTRY_BYTES = 200
TEXTS = (".html", ".json", ".md", ".js", ".tex", ".bib", ".tsv", ".svg")
LINK = re.compile(r'(\s)href="([^"#?:]+)([#?][^"]*)?"')

# In this order they are taken.
KINDS = {
    "results": "pages of the group, records, model, tables",
    "maps": "maps of each contrast, and what survives its main threshold",
    "views": "scripts of the pages that are too large to lie in them",
    "more": "maps of the other thresholds, and other maps",
    "people": "pages and records of the participants",
    "pictures": "pictures of the group's pages as files",
}
# Quantities without which a contrast cannot be judged.
MAIN_MAPS = ("effect", "variance", "t", "F", "z", "p")
PATTERNS = (
    ("results", OVERVIEW_REPORT, "overview of all results; open this first"),
    ("results", GROUP_REPORT, "page of the group: its models and contrasts"),
    ("results", GROUP_REPORTS, "page of a model or of one of its contrasts"),
    ("results", GROUP_RECORDS, "record of a group model: settings, versions, every number of the pages"),
    ("results", "logs/CITATION.*", "the methods in words, with references"),
    ("results", "code/model-*", "the model that was fitted, and its explanation"),
    ("results", "dataset_description.json", "what made the results"),
    ("views", "group/figures/*_view_*.js", "data of a view in a page of the group"),
    ("people", "sub-*.html", "page of a participant"),
    ("people", "sub-*/figures/*_view_*.js", "data of a view in a page of a participant"),
    ("people", SUBJECT_RECORDS, "record of a participant: runs, settings, versions"),
    ("pictures", "group/figures/*.svg", "picture of a page"),
)
TABLES = {
    "design": "design matrix, a row an input",
    "contrasts": "weights of the contrasts over the columns of the design",
    "clusters": "clusters that survive the threshold of its desc-",
    "peaks": "peaks of these clusters",
    "effects": "effect of every input at these peaks",
    "strongest": "strongest peaks of the whole map, none of which survives",
    "nullmax": "largest statistic of each shuffle",
    "influence": "influence of each input",
    "robustness": "highest peaks by other estimators and without each participant",
    "discoveries": "at least how much of each region is active",
}
README = """\
Results of {name}, packed by TaskGLM {version}.

Open index.html in a browser; it needs no network. Files are as they are in the output folder, but for two
things: in texts, folders of the computer are replaced by OUTPUT_DIR, BIDS_DIR or their last name, and links
to files that are not in here are taken out of pages. SHA256SUMS has the digest of every file, which
sha256sum -c SHA256SUMS compares.

COMMANDS

{commands}

VERSIONS

{versions}

LEFT OUT

The bundle stays below {limit} MB. Files are taken in this order, by name within a kind, where they still fit:
{kinds}
The maps of the participants, and what no record names, are never taken. {left_out}{lost}
FILES

{files}"""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    kind: str
    words: str


def write_bundle(models: Sequence[GroupResults], places: Places) -> Path:
    """Write the bundle of an output folder; return its path.

    Raises
    ------
    InputError
        A file cannot be read.
    """
    folder = models[0].folder
    gathered = sorted(gather_files(models), key=lambda file: (list(KINDS).index(file.kind), file.path))
    found = [file for file in gathered if (folder / file.path).is_file()]
    lost = [file for file in gathered if file not in found]
    content, taken, room = {}, [], MAX_BYTES - RESERVED
    for file in found:
        data = read_bytes(folder, file.path)
        if file.path.endswith(TEXTS):
            data = places.hide(data.decode()).encode()
        size = ENTRY_BYTES + len(data if file.path.endswith(PACKED) else zlib.compress(data))
        if size <= room:
            room -= size
            content[file.path] = data
            taken.append(file)
    for path in content:
        if path.endswith(".html"):
            content[path] = _keep_links(content[path].decode(), path, folder, content).encode()
    left_out = [file for file in found if file.path not in content]
    content["README.txt"] = places.hide(_describe(models, taken, left_out, lost)).encode()
    sums = "".join(f"{digest(content[name])}  {name}\n" for name in sorted(content))
    write_zip(folder / EXPORTED / "bundle.zip", content | {"SHA256SUMS": sums.encode()})
    return folder / EXPORTED / "bundle.zip"


def gather_files(models: Sequence[GroupResults]) -> list[_File]:
    """Return the files of an output folder that a reviewer may want."""
    folder = models[0].folder
    found = {
        path.relative_to(folder).as_posix(): (kind, words)
        for kind, pattern, words in PATTERNS
        for path in folder.glob(pattern)
    }
    for model in models:
        main = set(_main_maps(model.record))
        for name in model.record.written or measure_files(folder, model.record, "group"):
            if not posixpath.normpath(name).startswith("group/"):  # anybody may edit a record
                continue
            kind = "maps" if name in main else "more" if name.endswith(".nii.gz") else "results"
            found[name] = kind, _words_of(folder, name)
    return [_File(name, kind, words) for name, (kind, words) in found.items()]


def _main_maps(record: GroupRecord) -> Iterator[str]:
    yield record.mask
    for contrast in record.contrasts:
        yield from (path for key, path in contrast.maps.items() if key in MAIN_MAPS)
        main = contrast.main
        if main:
            yield from filter(None, (main.surviving, main.p_map, main.labels))


def _words_of(folder: Path, path: str) -> str:
    """Return what a map or a table is, or whose sidecar a file is."""
    if path.endswith(".json"):
        return "what the file of the same name holds"
    said = read_json(folder / sidecar_path(path)).get("Description")
    if isinstance(said, str):
        return said
    suffix = posixpath.basename(path).rpartition("_")[2].partition(".")[0]
    return TABLES.get(suffix, "analysis mask" if suffix == "mask" else suffix)


def _keep_links(page: str, path: str, folder: Path, content: Collection[str]) -> str:
    """Return a page without links to files of the output folder that are not in the bundle."""

    def keep(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[2]))
        return match[0] if target in content else f'{match[1]}title="not in this bundle"'

    return LINK.sub(keep, page)


def _describe(
    models: Sequence[GroupResults],
    taken: Sequence[_File],
    left_out: Sequence[_File],
    lost: Sequence[_File],
) -> str:
    records = [model.record for model in models]
    people = [results.record for results in read_all_subject_results(models[0].folder)]
    commands = dict.fromkeys(record.command for record in (*people, *records) if record.command)
    versions = dict.fromkeys(", ".join(f"{k} {v}" for k, v in record.versions.items()) for record in records)
    files = (_list(words, [file for file in taken if file.kind == kind]) for kind, words in KINDS.items())
    return README.format(
        name=", ".join(record.model.name for record in records),
        version=__version__,
        commands="\n".join(commands) or "not known",
        versions="\n".join(textwrap.fill(text, 100) for text in versions),
        limit=MAX_BYTES // 1_000_000,
        kinds="\n".join(f"{number}. {words}" for number, words in enumerate(KINDS.values(), 1)),
        left_out=_list("These did not fit:", left_out) or "Everything else fitted.\n",
        lost=_list("Named by a record, and no longer in the output folder:", lost),
        files="\n".join(filter(None, files)),
    )


def _list(title: str, files: Sequence[_File]) -> str:
    """Return files below a title; empty where there are none."""
    lines = (f"  {file.path}\n      {file.words}\n" for file in files)
    return f"{title[0].upper()}{title[1:]}\n{''.join(lines)}" if files else ""
