"""The methods text as files to copy from: ``logs/CITATION.html``, ``.md``, ``.tex`` and ``.bib``."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from bidsapp.names import citation_path
from bidsapp.outputs.files import write_text
from bidsapp.outputs.results import read_all_subject_results, read_group_results
from bidsapp.outputs.saved.files import as_document
from bidsapp.outputs.saved.participant import SubjectRecord
from bidsapp.report.methods import describe_group, describe_participant
from bidsapp.report.references import Reference, cited, references, split_citations
from bidsapp.report.render import render
from bidsapp.report.sections.methods import find_atlases, in_words

# LaTeX's standard encodings have the Latin letters up to here.
END_OF_LATIN = 0x180
# Settings on which the text of the participant level depends.
TEXT_PARTS = ("run", "model")
# Title and paragraphs.
Chapter: TypeAlias = tuple[str, list[str]]
LATEX = {
    **{character: "\\" + character for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "×": r"$\times$",
    "α": r"$\alpha$",
    "−": "$-$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
}


def write_citation(output_dir: Path | str) -> None:
    """Write the methods text of everything that an output folder holds."""
    folder = Path(output_dir)
    chapters = _participant_chapters(folder) + _group_chapters(folder)
    keys = cited([p for _, paragraphs in chapters for p in paragraphs])
    works = [references()[key] for key in keys]
    write_text(folder / citation_path(".md"), _markdown(chapters, works))
    write_text(folder / citation_path(".tex"), _latex(chapters))
    write_text(folder / citation_path(".bib"), "\n\n".join(work.bibtex() for work in works) + "\n")
    html = [(title, [in_words(p) for p in paragraphs]) for title, paragraphs in chapters]
    page = render("citation.html", chapters=html, references=[work.text() for work in works])
    write_text(folder / citation_path(".html"), page)


def _participant_chapters(folder: Path) -> list[Chapter]:
    """Return one chapter for all subjects that were analysed with the same settings."""
    alike: dict[str, list[SubjectRecord]] = {}
    for results in read_all_subject_results(folder):
        record = results.record
        parts = {part: record.settings.get(part) for part in TEXT_PARTS}
        key = json.dumps([parts, as_document(record.model), record.versions], sort_keys=True)
        alike.setdefault(key, []).append(record)
    chapters = []
    for records in alike.values():
        runs = tuple(run for record in records for run in record.runs)
        estimates = tuple(estimate for record in records for estimate in record.estimates)
        merged = replace(records[0], runs=runs, estimates=estimates)
        names = ", ".join(f"sub-{record.subject}" for record in records)
        title = "Participant level" if len(alike) == 1 else f"Participant level: {names}"
        chapters.append((title, describe_participant(merged)))
    return chapters


def _group_chapters(folder: Path) -> list[Chapter]:
    return [
        (f"Group level: {r.name}", describe_group(r.record, find_atlases(r)))
        for r in read_group_results(folder)
    ]


def _markdown(chapters: Sequence[Chapter], works: Iterable[Reference]) -> str:
    lines = ["# Methods", ""]
    for title, paragraphs in chapters:
        lines += [f"## {_escape_markdown(title)}", ""]
        lines += [line for p in paragraphs for line in (_outside_citations(p, _escape_markdown, _keep), "")]
    lines += ["# References", ""]
    return "\n".join(lines + [f"- @{work.key}: {work.text()}" for work in works]) + "\n"


def _latex(chapters: Sequence[Chapter]) -> str:
    lines = [r"\documentclass{article}", r"\usepackage[T1]{fontenc}", r"\usepackage[utf8]{inputenc}"]
    lines += [r"\usepackage{natbib}"]
    lines += [r"\begin{document}", r"\section*{Methods}"]
    for title, paragraphs in chapters:
        lines += ["", rf"\subsection*{{{_escape_latex(title)}}}", ""]
        lines += [line for p in paragraphs for line in (_outside_citations(p, _escape_latex, _cite), "")]
    lines += [r"\bibliographystyle{plainnat}", r"\bibliography{CITATION}", r"\end{document}"]
    return "\n".join(lines) + "\n"


def _outside_citations(
    paragraph: str, escape: Callable[[str], str], cite: Callable[[Sequence[str]], str]
) -> str:
    """Return a paragraph with its words escaped and its citations written in their own way."""
    pieces = split_citations(paragraph)
    return "".join(escape(words) + (cite(keys) if keys else "") for words, keys in pieces)


def _keep(keys: Sequence[str]) -> str:
    return "[" + "; ".join(f"@{key}" for key in keys) + "]"


def _cite(keys: Sequence[str]) -> str:
    return r"\citep{" + ",".join(keys) + "}"


def _escape_latex(text: str) -> str:
    return "".join(LATEX.get(c) or (c if ord(c) < END_OF_LATIN or c in "–—…" else _name(c)) for c in text)


def _name(character: str) -> str:
    """Return the code point of a character that LaTeX's standard fonts lack."""
    return f"[U+{ord(character):04X}]"


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
