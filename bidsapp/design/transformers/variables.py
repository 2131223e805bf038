"""The variables that a design is made from, and how a model's words find them.

A variable is either sparse (events: onset, duration, amplitude) or dense (one value a row: a volume, or
an input of a higher node). An event whose value is missing is not an event of that variable.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bidsapp.errors import ModelError
from bidsapp.model.wildcards import is_wildcard, match_names
from bidsapp.records.arrays import Labels, Mask, Numbers
from bidsapp.records.plan import Response

# No model needs more; transformations that copy or split everything would go on doubling them.
MAX_VARIABLES = 5000
# The columns of an events table that every event has.
TIMES = ("onset", "duration")

# Floats, or objects (texts, None where missing), shape (n_rows,).
Values: TypeAlias = NDArray[Any]
# A query that was applied: who asks, its text, the variable, how many events it kept, and of how many.
Filtered: TypeAlias = tuple[str, str, str, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """Values with or without onsets; ``onset`` and ``duration`` (seconds) are None when dense.

    ``values`` are floats, or objects (texts, None where missing) of a column that is not numeric. ``index``
    is the row of each event in the events table, where an event is still that of a row.
    """

    name: str
    values: Values
    onset: Numbers | None = None
    duration: Numbers | None = None
    index: Labels | None = None

    @property
    def is_sparse(self) -> bool:
        """Whether the values belong to events."""
        return self.onset is not None

    @property
    def events(self) -> tuple[Numbers, Numbers]:
        """Onsets and durations; raise ModelError where there are no events."""
        if self.onset is None or self.duration is None:
            raise ModelError(f"{self.name!r} is no column of the events.")
        return self.onset, self.duration

    @property
    def table_rows(self) -> Labels:
        """The row of each event in the events table; raise ModelError where events are no rows of it."""
        if self.index is None:
            raise ModelError(f"{self.name!r} is no column of the events table.")
        return self.index

    @property
    def is_text(self) -> bool:
        """Whether the values are not numbers."""
        return self.values.dtype == object

    @property
    def numbers(self) -> Numbers:
        """The values; raise ModelError where they are not numbers."""
        if self.is_text:
            raise ModelError(f"{self.name!r} holds texts, not numbers.")
        return self.values

    @property
    def nothing(self) -> Values:
        """What stands where a value is missing, shape ()."""
        return np.array(None if self.is_text else np.nan)

    def with_values(self, values: ArrayLike, name: str | None = None) -> "Variable":
        """Return the same rows with other values."""
        return replace(self, values=as_values(values), name=name or self.name)

    def rows(self, keep: Mask | Labels) -> "Variable":
        """Return only the rows of a mask."""
        if not self.is_sparse:
            return replace(self, values=np.where(keep, self.values, self.nothing))
        onset, duration = self.events
        index = None if self.index is None else self.index[keep]
        return replace(
            self, values=self.values[keep], onset=onset[keep], duration=duration[keep], index=index
        )

    def at_rows_of(self, other: "Variable") -> "Variable | None":
        """Return these values at the rows of another variable; None where the rows do not correspond."""
        own, wanted = self._row_keys(other), other._row_keys(self)
        if own is None or wanted is None or own == wanted:
            return self if len(self.values) == len(other.values) else None
        places = {row: place for place, row in enumerate(own)}
        found = [places.get(row) for row in wanted]
        return None if None in found else self.rows(np.array(found, np.intp))

    def _row_keys(self, other: "Variable") -> list[Any] | None:
        """Return what identifies each event: its row in the table, else its onset; None when dense."""
        if self.onset is None or other.onset is None:
            return None
        keys: list[Any] = (self.onset if self.index is None or other.index is None else self.index).tolist()
        return keys


@dataclass(slots=True)
class Namespace:
    """The variables of one run, or of the inputs of one higher node, while they are transformed.

    Attributes
    ----------
    variables : dict of str to Variable
    frame_times : ndarray or None
        When the volumes were acquired; None at higher levels.
    labels : dict
        The entities of the run, by their long names.
    notes : list of str
    missing : dict of str to str
        Names that were asked for and are not there, and who asked (a JSON path).
    rows : tuple of str
        The names of the rows, at higher levels.
    filtered : list of Filtered
    removed : set of str
        What was renamed or deleted: no level is made under such a name again.
    responses : dict of str to (Response, dict of str to Variable)
        What was convolved: what its columns say of the response, and the columns as they were made.
    """

    variables: dict[str, Variable]
    frame_times: Numbers | None = None
    labels: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    rows: tuple[str, ...] = ()
    filtered: list[Filtered] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    responses: dict[str, tuple[Response, dict[str, Variable]]] = field(default_factory=dict)

    @property
    def volume_times(self) -> Numbers:
        """When the volumes were acquired; raise ModelError above the run level."""
        if self.frame_times is None:
            raise ModelError("there are no volumes above the run level.")
        return self.frame_times

    def add(self, made: Mapping[str, Variable]) -> None:
        """Add variables by name; raise ModelError where there are more than any model needs."""
        self.variables.update(made)
        if len(self.variables) > MAX_VARIABLES:
            raise ModelError(f"there are more than {MAX_VARIABLES:,} variables now. Name those you need.")

    def find(self, pattern: str) -> list[str]:
        """Return the names of the variables that a word of the model stands for; empty when none."""
        if pattern.startswith("@") and pattern[1:] in self.groups:
            return list(self.groups[pattern[1:]])
        if not is_wildcard(pattern):
            name = self._find_one(pattern)
            return [name] if name else []
        names = match_names(pattern, self.variables)
        if not names:
            stem = pattern.rpartition(".")[0]
            if stem in self.variables and self.make_levels(stem):
                names = match_names(pattern, self.variables)
        return names

    def require(self, pattern: str, where: str) -> list[str]:
        """Return what a word stands for, noting it as missing when it stands for nothing."""
        names = self.find(pattern)
        if not names:
            self.missing.setdefault(pattern, where)
        return names

    def require_all(self, patterns: Iterable[str], where: str) -> list[Variable]:
        """Return the variables that words stand for; none where a word stands for nothing."""
        found = [self.require(pattern, where) for pattern in patterns]
        return [self.variables[name] for names in found for name in names] if all(found) else []

    def columns_at(self, variable: Variable) -> dict[str, Values]:
        """Return the values of all variables that have a value at each row of one, at these rows."""
        at_rows = {name: other.at_rows_of(variable) for name, other in self.variables.items()}
        return {name: other.values for name, other in at_rows.items() if other is not None}

    def make_levels(self, name: str) -> list[str]:
        """Add an indicator of every level of a column, as if the model had a Factor; return their names."""
        variable = self.variables[name]
        made = factor_levels(variable)
        for level in made:
            self.variables.setdefault(level.name, level)
        return [level.name for level in made]

    def _find_one(self, name: str) -> str | None:
        if name in self.variables:
            return name
        for alias in aliases(name):
            if alias in self.variables:
                return alias
        return None if name in self.removed else self._find_level(name)

    def _find_level(self, name: str) -> str | None:
        """Make the levels of a column that the model names without a Factor, as SPM-style models do."""
        wanted = {name, *aliases(name)}
        for stem in _stems(name):
            if stem in self.variables:
                found = wanted.intersection(self.make_levels(stem))
                if found:
                    return found.pop()
        holders = [
            variable.name
            for variable in self.variables.values()
            if variable.is_text and name in set(variable.values.tolist())
        ]
        if len(holders) != 1:
            return None
        self.notes.append(f"{name!r} is read as the level {name!r} of the column {holders[0]!r}")
        variable = self.variables[holders[0]]
        self.variables[name] = variable.with_values((variable.values == name).astype(float), name)
        return name


def aliases(name: str) -> list[str]:
    """Return other spellings of a name: ``a.1`` for ``a.1.0`` and ``a.01``, ``C(g)[x]`` for ``C(g)[T.x]``."""
    found = []
    if re.search(r"\.0+\d+$", name):
        found.append(re.sub(r"\.0+(?=\d+$)", ".", name))
    if re.search(r"\.\d+\.0$", name):
        found.append(name[:-2])
    if re.search(r"\.-?\d+$", name):
        found.append(f"{name}.0")
    if re.search(r"\[(T\.)?-?\d+\.0\]$", name):
        return [name[:-3] + "]", *aliases(name[:-3] + "]")]
    parts = re.findall(r"\.([^.\[\]]+)\[([^\[\]]*)\]", name)
    if parts:
        # The same part of a Split, as bids-matlab names it: by names in sorted order.
        by = "".join(f"_BY_{column}_{level}" for column, level in sorted(parts))
        found.append(re.sub(r"[^a-zA-Z0-9_]", "", name.partition(".")[0] + by))
    if "[T." in name:
        found += [name.replace("[T.", "["), re.sub(r"^C\((.*)\)\[T\.(.*)\]$", r"\1.\2", name)]
    elif re.fullmatch(r"C\(.*\)\[.*\]", name):
        found += [name.replace("[", "[T."), re.sub(r"^C\((.*)\)\[(.*)\]$", r"\1.\2", name)]
    return found


def level_name(value: object) -> str:
    """Return a level as it stands in a column name; whole numbers without their decimals."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def level_names(variable: Variable) -> list[str]:
    """Return the names of the levels of a variable, in sorted order."""
    there = variable.values[~is_missing(variable.values)].tolist()
    levels = {level_name(value): value for value in there}
    return sorted(levels) if variable.is_text else sorted(levels, key=lambda name: levels[name])


def factor_levels(variable: Variable, sep: str = ".") -> list[Variable]:
    """Return the indicator variables of the levels of a variable, in sorted order."""
    present = ~is_missing(variable.values)
    names = np.array(
        [level_name(value) if there else "" for value, there in zip(variable.values, present, strict=True)]
    )
    made = []
    for level in level_names(variable):
        values = np.where(present, (names == level).astype(float), np.nan)
        made.append(variable.with_values(values, f"{variable.name}{sep}{level}"))
    return made


def is_missing(values: Values) -> Mask:
    """Return which values are missing."""
    if values.dtype == object:
        return np.array([value is None or value != value or value == "" for value in values.tolist()], bool)
    return np.isnan(values)


def as_values(values: ArrayLike) -> Values:
    """Return values as floats where every one that is there is a number, else as objects with None."""
    values = np.asarray(values)
    if values.dtype.kind in "fiub":
        return values.astype(float)
    values = np.array([None if _absent(value) else value for value in values.tolist()], object)
    try:
        return np.array([np.nan if value is None else _number(value) for value in values.tolist()])
    except (TypeError, ValueError):
        return np.array(
            [value if value is None or isinstance(value, str) else level_name(value) for value in values],
            object,
        )


def _number(value: Any) -> float:
    """Return a value as a float; what Python takes for a number and no table means as one makes a text.

    Those are underscores (``1_2``) and what is infinite (``inf``, ``1e999``).
    """
    number = float(value)
    if isinstance(value, str) and ("_" in value or math.isinf(number)):
        raise ValueError(value)
    return number


def is_number(value: object) -> bool:
    """Whether a value is a number, or a text of one."""
    try:
        _number(value)
    except (TypeError, ValueError):
        return False
    return True


def _absent(value: object) -> bool:
    return (
        value is None
        or value != value
        or (isinstance(value, str) and value.strip().lower() in ("", "n/a", "nan"))
    )


def _stems(name: str) -> list[str]:
    """Return what stands before each dot of a name, the longest first."""
    places = [match.start() for match in re.finditer(r"\.", name)]
    return [name[:place] for place in reversed(places)]
