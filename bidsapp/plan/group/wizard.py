"""Which group designs the participants table, the sessions and the contrasts allow, as ready commands."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import chain, zip_longest
from math import prod
from typing import TypeAlias

from bidsapp.design.transformers.variables import is_number
from bidsapp.errors import AppError
from bidsapp.inputs.tables.participants import match_labels
from bidsapp.plan.group.make import plan_model
from bidsapp.plan.group.models import command_model
from bidsapp.plan.group.options import FEWEST_ROWS, MOST_LEVELS, check_options
from bidsapp.plan.group.people import People, label_of
from bidsapp.plan.nodes import check_outputs
from bidsapp.records.maps import EstimateFile
from bidsapp.settings.declare import flag_of, kind_of
from bidsapp.settings.parts import PARTS, Settings

MOST_DESIGNS = 8
# What a design is for, and its words.
Design: TypeAlias = tuple[str, tuple[str, ...]]
# Columns that number participants; a column that more than half of them lack says little of them.
NUMBERING = re.compile(r"(^|_)(id|ids|nr|no|num|number|index)$", re.IGNORECASE)
LEAST_KNOWN = 0.5


def suggest_designs(
    entries: Sequence[EstimateFile], people: People, settings: Settings
) -> list[dict[str, str]]:
    """Return the designs that these estimates allow, the plainest first, eight at most.

    Parameters
    ----------
    entries : list of EstimateFile
    people : dict
        Subject label -> columns, also of participants without estimates, who do not count.

    Returns
    -------
    list of dict
        ``question``, ``n`` (participants, in words) and ``command``; each was planned without a fault.
    """
    labels = list(dict.fromkeys(map(label_of, entries)))
    people, _ = match_labels(people, labels)
    found: list[list[dict[str, str]]] = []
    for kind in _candidates(entries, {label: people.get(label, {}) for label in labels}):
        planned = ((question, words, _count(words, entries, people, settings)) for question, words in kind)
        found.append(
            [
                {"question": question, "n": n, "command": command_of(settings, words)}
                for question, words, n in planned
                if n
            ]
        )
    # The first of each kind before the second of any; shown by kind.
    in_turn = chain.from_iterable(zip_longest(*found))
    chosen = [one for one in in_turn if one is not None][:MOST_DESIGNS]
    return [one for kind in found for one in kind if one in chosen]


def command_of(settings: Settings, design: Sequence[str]) -> str:
    """Return the command of the group level with a design, quoted for a shell."""
    words = ["run.py", str(settings.bids_dir), str(settings.output_dir), "group"]
    for name in PARTS:
        part = getattr(settings, name)
        for setting in fields(part):
            value = getattr(part, setting.name)
            if value == setting.default or setting.name in ("dry_run", "group_design"):
                continue
            flag = flag_of(setting.name)
            if kind_of(setting) == "repeat":
                words += [word for one in value for word in (flag, str(one))]
            elif isinstance(value, bool):
                words += [flag]
            else:
                words += [flag, *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join([*words, "--group-design", *design])


def _count(words: Sequence[str], entries: Sequence[EstimateFile], people: People, settings: Settings) -> str:
    """Return how many participants a design has, in words; empty where it cannot be planned."""
    group = replace(settings.group, group_design=tuple(words))
    try:
        model = command_model(group, entries, people, {})
        fits, _ = plan_model(model, entries, people, settings.model.missing_condition, group.group_estimator)
        check_outputs(fits)
        if fits:
            check_options(fits, group)
    except AppError:
        return ""
    numbers = sorted({len(set(fit.subjects)) for fit in fits})
    return " to ".join(map(str, dict.fromkeys((*numbers[:1], *numbers[-1:]))))


def _candidates(entries: Sequence[EstimateFile], people: People) -> Iterator[list[Design]]:
    """Yield the designs of each kind that may be made, the plainest kind first."""
    pairs, groups, numbers = _sort_columns(people)
    sessions = _find_sessions(entries)
    conditions = _find_conditions(entries)
    yield [("is the mean of each contrast other than zero?", ("one-sample",))]
    yield [(f"do the two groups of {name} differ?", ("two-sample", name)) for name in pairs]
    yield [(f"do the groups of {name} differ?", ("anova", name)) for name in groups]
    yield [(f"do effects change with {name}?", ("covariate", name)) for name in numbers]
    yield [
        (f"do the two groups of {pair} differ, given {number}?", ("two-sample", pair, "covariate", number))
        for pair in pairs[:1]
        for number in numbers[:1]
    ]
    couples = [two for two in (sessions, conditions[:2]) if len(two) == 2]
    yield [(f"does {a} differ from {b}?", ("paired", a, b)) for a, b in couples]
    factors = [f"factor{k + 1}={','.join(levels)}" for k, levels in enumerate(_find_factors(conditions))]
    repeated = (
        [("which effects have the factors in the names of contrasts?", tuple(factors))] if factors else []
    )
    if len(sessions) > 2:
        repeated.append(("do sessions differ?", (f"session={','.join(sessions)}",)))
    yield [(question, ("repeated-measures", *words)) for question, words in repeated]
    within = (
        ("paired", *sessions)
        if len(sessions) == 2
        else ("repeated-measures", f"session={','.join(sessions)}")
    )
    yield [
        (
            f"do differences between sessions differ between the groups of {pair}?",
            (*within, "two-sample", pair),
        )
        for pair in pairs[:1]
        if len(sessions) > 1
    ]


def _sort_columns(people: People) -> tuple[list[str], list[str], list[str]]:
    """Return the columns with two values, with three to six, and of numbers; each value of enough people."""
    pairs: list[str] = []
    groups: list[str] = []
    numbers: list[str] = []
    for name in dict.fromkeys(name for row in people.values() for name in row):
        there = [value for row in people.values() if (value := row.get(name)) is not None]
        counts = Counter(map(str, there))
        if len(there) < LEAST_KNOWN * len(people) or len(counts) < 2 or NUMBERING.search(name):
            continue
        if len(counts) <= MOST_LEVELS:
            if min(counts.values()) >= FEWEST_ROWS:
                (pairs if len(counts) == 2 else groups).append(name)
        elif all(map(is_number, there)) and not _counts_people(there):
            numbers.append(name)
    return pairs, groups, numbers


def _counts_people(values: Iterable[object]) -> bool:
    """Whether numbers are 0, 1, 2 ... or 1, 2, 3 ...: they number the participants."""
    ordered = sorted(float(str(value)) for value in values)
    return ordered[0] in (0, 1) and ordered == [ordered[0] + step for step in range(len(ordered))]


def _find_sessions(entries: Sequence[EstimateFile]) -> list[str]:
    """Return the sessions as words of a design, of those in which participants come again."""
    found = dict.fromkeys((entry.key.entity("ses"), label_of(entry)) for entry in entries)
    counts = Counter(session for session, _ in found if session)
    return [f"ses-{session}" for session, n in counts.items() if n > 1]


def _find_conditions(entries: Sequence[EstimateFile]) -> list[str]:
    """Return the contrasts that weigh one condition each, or all where no sidecar says weights."""
    single: dict[str, bool] = {}
    for entry in entries:
        weights = entry.metadata.get("Weights")
        used = [weight for weight in weights if weight] if isinstance(weights, list) else [1]
        single[entry.key.contrast] = len(used) == 1 and single.get(entry.key.contrast, True)
    return [name for name, is_single in single.items() if is_single]


def _find_factors(names: Sequence[str]) -> list[list[str]]:
    """Return the levels of the factors whose combinations the names are; empty where they are none."""
    parts = [re.split(r"[\W_]+", name) for name in names]
    if parts and len(parts[0]) > 1 and len({len(one) for one in parts}) == 1:
        factors = [list(dict.fromkeys(levels)) for levels in zip(*parts, strict=True)]
        return factors if _are_crossed(factors, len({tuple(one) for one in parts})) else []
    for place in range(1, len(names[0]) if names else 0):
        first, last = names[0][:place], names[0][place:]
        begins = [name.removesuffix(last) for name in names if name.endswith(last)]
        ends = [name.removeprefix(first) for name in names if name.startswith(first)]
        made = {begin + end for begin in begins for end in ends}
        if made == set(names) and _are_crossed([begins, ends], len(names)):
            return [begins, ends]
    return []


def _are_crossed(factors: Sequence[Sequence[str]], n: int) -> bool:
    sizes = [len(levels) for levels in factors]
    return min(sizes) > 1 and prod(sizes) == n
