"""Warnings told once: those of one kind together, with what they concern and what to do.

Warnings are of one kind where they differ in numbers and names alone: the width of the noise of three
contrasts is one remark, with the range of the widths.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bidsapp.errors import some_names
from bidsapp.outputs.saved.common import rows_of
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import THRESHOLDS

# What a warning begins with -> the contrasts or runs that this stands for.
Places: TypeAlias = Mapping[str, Collection[str]]
# How a sentence begins that says what to do.
ADVICE = (
    r"Add|Analyse|Ask|Check|Choose|Copy|Correct|Give|Leave|Look|Make|Name|Put|Raise|Remove|Rename|Resample|"
    r"Restrict|Run|Save|Set|Transform|Try|Use|Write"
)
BEGIN_OF_ADVICE = re.compile(rf"(?<=[.:;)]) (?=(?i:{ADVICE})\b)")
# Not a part of a word, of a path or of a label.
NUMBER = r"(?<![\w./-])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w/]|\.\d)"
# What agrees with how many are named.
NUMBER_OF_WORDS = re.compile(r"\b(is|are|it|them|its|their|has|have)\b")


@dataclass(frozen=True, slots=True)
class Remark:
    """Warnings of one kind.

    Attributes
    ----------
    where : tuple of str
        The contrasts or runs that they concern; empty where these are all, or none is named.
    words : str
        What is so; where the warnings differ, with the range of their numbers and all names.
    advice : str
        What to do; empty where the warnings do not say it.
    each : tuple of str
        The warnings as they are.
    differ : bool
        Whether these have other numbers or names, beside what they concern.
    """

    where: tuple[str, ...]
    words: str
    advice: str
    each: tuple[str, ...]
    differ: bool = False

    def __str__(self) -> str:
        """Return the remark as a line of the log: a warning that stands for itself as it is."""
        if len(self.each) == 1:
            return self.each[0]
        said = f"{self.words.rstrip('.')}. {self.advice}" if self.advice else self.words
        return f"{some_names(self.where)}: {said}" if self.where else said


def gather_remarks(
    warnings: Iterable[str], places: Places, names: Iterable[str] = (), shown: Mapping[str, str] | None = None
) -> list[Remark]:
    """Return warnings as remarks, in the order of the first of each kind.

    Parameters
    ----------
    warnings : iterable of str
        Each may begin with places, separated by commas, and a colon.
    places : dict
    names : iterable of str
        Names in warnings that do not make another kind: of participants, columns, thresholds.
    shown : dict of str to str, optional
        Names that are shown as others.
    """
    names = {*names, *places, *(shown or {})}
    found: dict[tuple[str, ...], list[tuple[list[str], list[str], str]]] = {}
    for warning in dict.fromkeys(warnings):
        where, text = _split_places(warning, places)
        parts = _split_variables(text, names)
        literals = [NUMBER_OF_WORDS.sub("", literal) for literal in parts[::2]]
        kind = (*literals, *("number" if _is_number(part) else "name" for part in parts[1::2]))
        found.setdefault(kind, []).append((where, parts, warning))
    everything = {one for covered in places.values() for one in covered}
    remarks = []
    for members in found.values():
        where = list(dict.fromkeys(one for own, _, _ in members for one in own))
        covered = {one for place in where for one in places[place]}
        words, advice = _split_advice(_merge([parts for _, parts, _ in members], shown or {}))
        if members[0][1][0]:  # a name stays as it is
            words = words[:1].upper() + words[1:]
        each = tuple(_rename(parts, warning, shown or {}) for _, parts, warning in members)
        differ = any(parts != members[0][1] for _, parts, _ in members)
        remarks.append(Remark(() if covered == everything else tuple(where), words, advice, each, differ))
    return remarks


def group_remarks(record: GroupRecord, *, thresholds: bool = False) -> list[Remark]:
    """Return the remarks on a Dataset node; with ``thresholds`` also on those that cannot be used."""
    more = [
        f"{contrast.name}: {threshold.method}: {threshold.unusable}"
        for contrast in record.contrasts
        for threshold in contrast.thresholds
        if thresholds and threshold.unusable
    ]
    everything = [contrast.name for contrast in record.contrasts]
    places: dict[str, list[str]] = {record.node: everything}
    for contrast in record.contrasts:
        if contrast.input_contrast:
            places.setdefault(contrast.input_contrast, []).append(contrast.name)
    places |= {name: [name] for name in everything if name not in places}
    names = {row for contrast in record.contrasts for own in rows_of(contrast.weights) for row in own}
    names |= {member.label for member in record.subjects}
    names |= {member.label.split(" ")[0] for member in record.subjects}
    names |= {words.label for words in STATISTICS.values()}
    short = {name: words.short or name for name, words in THRESHOLDS.items()}
    return gather_remarks([*record.warnings, *more], places, names, short)


def subject_remarks(record: SubjectRecord, warnings: Iterable[str]) -> list[Remark]:
    """Return warnings on the runs of a participant as remarks."""
    return gather_remarks(warnings, {run.label: [run.label] for run in record.runs})


def _split_places(warning: str, places: Places) -> tuple[list[str], str]:
    """Return what a warning begins with, and the rest of it."""
    where: list[str] = []
    rest = warning
    while True:
        own = [place for place in places if rest.startswith((f"{place}: ", f"{place}, ", f"{place} ("))]
        if not own:
            return [], warning
        place = max(own, key=len)
        rest = rest[len(place) :]
        if rest.startswith(" ("):
            inside, closed, rest = rest[2:].partition("): ")
            some = _split_places(f"{inside}: ", places)[0]
            return (some, rest) if closed and some else ([], warning)
        where.append(place)
        separator, rest = rest[:2], rest[2:]
        if separator == ": ":
            return where, rest


def _split_variables(text: str, names: Collection[str]) -> list[str]:
    """Return a text as parts: words, a name, names or a number, words, ..., words."""
    longest = sorted(names, key=len, reverse=True)
    name = rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])" if longest else r"(?!)"
    return re.split(rf"({name}(?:(?:, | and ){name})*|{NUMBER})", text)


def _is_number(text: str) -> bool:
    return re.fullmatch(NUMBER, text) is not None


def _merge(members: Sequence[Sequence[str]], shown: Mapping[str, str]) -> str:
    """Return one text for several, of the same parts but for numbers and names."""
    # The words of the member that names most: those of several.
    fullest = max(members, key=lambda own: len("".join(own[1::2])))
    parts = list(fullest)
    for index in range(1, len(parts), 2):
        texts = list(dict.fromkeys(member[index] for member in members))
        if _is_number(texts[0]):
            texts = sorted(texts, key=lambda text: float(text.replace(",", "")))
            parts[index] = texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}"
        elif len(texts) > 1 or texts[0] in shown:
            some = dict.fromkeys(name for text in texts for name in text.split(", "))
            parts[index] = ", ".join(
                shown.get(name, name) for name in (sorted(some) if len(texts) > 1 else some)
            )
    return "".join(parts)


def _rename(parts: Sequence[str], warning: str, shown: Mapping[str, str]) -> str:
    """Return a warning, whose text is made of ``parts``, with names that are shown as others."""
    return warning.removesuffix("".join(parts)) + _merge([parts], shown)


def _split_advice(text: str) -> tuple[str, str]:
    """Return what is so, and from the first sentence that says it on, what to do."""
    begin = BEGIN_OF_ADVICE.search(text)
    if begin is None:
        return text, ""
    advice = text[begin.end() :]
    return text[: begin.start()].rstrip(" :;"), advice[:1].upper() + advice[1:]
