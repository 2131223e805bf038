"""The works that the methods text cites, read from ``templates/references.bib``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Reference:
    """A work: its key, how the text names it ("Hedges, 1981") and its BibTeX fields."""

    key: str
    short: str
    fields: dict[str, str]

    def text(self) -> str:
        """Return the reference as a line."""
        get = {"doi": "", **self.fields}
        authors = get["author"].replace(" and others", " et al.").replace(" and ", "; ")
        doi = f" doi:{get['doi']}" if get["doi"] else ""
        where = f"{get['journal']} {get['volume']}:{get['pages'].replace('--', '–')}"
        # Braces keep capitals in BibTeX only.
        title = get["title"].replace("{", "").replace("}", "")
        return f"{authors} ({get['year']}). {title}. {where}.{doi}"

    def bibtex(self) -> str:
        """Return the reference as a BibTeX entry."""
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields.items()]
        return "\n".join([f"@article{{{self.key},", *lines, "}"])


@lru_cache(maxsize=1)
def references() -> dict[str, Reference]:
    """Return all references by their keys."""
    text = files("bidsapp.report").joinpath("templates/references.bib").read_text(encoding="utf-8")
    entries = re.findall(r"@article\{(\w+),\n(.*?)\n\}", text, flags=re.DOTALL)
    return {key: _reference(key, dict(re.findall(r"(\w+) = \{(.*)\},", body))) for key, body in entries}


def split_citations(paragraph: str) -> list[tuple[str, list[str]]]:
    """Return words and citations of a paragraph in turns: (words, keys) pairs.

    Only keys that are known make a citation; names of a dataset that look like one stay words.
    """
    pieces, start = [], 0
    for match in re.finditer(r"\[(@\w+(?:; @\w+)*)\]", paragraph):
        keys = re.findall(r"@(\w+)", match[1])
        if all(key in references() for key in keys):
            pieces.append((paragraph[start : match.start()], keys))
            start = match.end()
    return [*pieces, (paragraph[start:], [])]


def cited(paragraphs: Iterable[str]) -> list[str]:
    """Return the keys that paragraphs cite, in the order of their first appearance."""
    keys = [key for p in paragraphs for _, found in split_citations(p) for key in found]
    return list(dict.fromkeys(keys))


def _reference(key: str, fields: dict[str, str]) -> Reference:
    return Reference(key, fields["short"], {k: v for k, v in fields.items() if k != "short"})
