"""What the records of both stages have in common.

A field that a file lacks has its default, so that records of earlier versions are read. ``Maybe`` fields are
left out of the file where they are None; every other is always there. The texts make docs/records.md.
"""

from math import nan
from typing import Annotated, TypeAlias, TypeVar, cast, dataclass_transform

from pydantic import BeforeValidator, ConfigDict
from pydantic.dataclasses import dataclass

from bidsapp.records.documents import Document
from bidsapp.settings.config import read_saved
from bidsapp.settings.parts import Choices

Value = TypeVar("Value")
LEFT_OUT = "left out of the file where None"
Maybe: TypeAlias = Annotated[Value | None, LEFT_OUT]
# Null in the file, and NaN here, where unknown.
Number: TypeAlias = Annotated[float, BeforeValidator(lambda value: nan if value is None else value)]
# Column -> weight, those that are not 0; of an F test one for each row.
Weights: TypeAlias = dict[str, float] | list[dict[str, float]]
# Of F the numerator's and the denominator's; None where they differ between voxels.
Dof: TypeAlias = float | list[int | float | None] | None

# Of a class its validator is built when it is needed: reading takes that of the whole record alone.
CONFIG = ConfigDict(defer_build=True)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def saved(kind: type[Value]) -> type[Value]:
    """Make a class one of what records are made of: immutable, its fields given by name."""
    return cast(type[Value], dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)(kind))


@saved
class ModelRecord:
    """The model of an analysis; several names and paths are joined by ", ".

    Attributes
    ----------
    name
        Its name.
    path
        ``code/model-..._smdl.json``.
    automatic
        Whether the app made it.
    notes
        What of it was read otherwise than written, with the lines of its file.
    """

    name: str
    path: str
    automatic: bool
    notes: tuple[str, ...] = ()


@saved
class Record:
    """What both kinds have in common.

    Attributes
    ----------
    schema
        Always 1.
    kind
        ``participant`` or ``group``.
    fingerprint
        Digest of inputs and settings, compared before finished work is skipped.
    started
        ISO 8601, UTC.
    finished
        The same.
    seconds
        How long it took.
    settings
        The settings that this stage goes by, one object a part: ``selection``, ``model``, ``control``, of
        participants ``run``, of groups ``group`` and ``permutation``.
    versions
        Of the app (``taskglm``), ``python`` and the packages that results may depend on.
    model
        The model.
    command
        The command line as one string.
    status
        ``complete``, ``partial`` (some runs or contrasts failed) or ``failed``.
    """

    schema: int
    kind: str
    fingerprint: str
    started: str
    finished: str
    seconds: float
    settings: Document
    versions: dict[str, str]
    model: ModelRecord
    command: Maybe[str] = None
    status: str

    @property
    def choices(self) -> Choices:
        """The settings as they were; what the record lacks has its default."""
        return read_saved(self.settings)


def rows_of(weights: Weights) -> list[dict[str, float]]:
    """Return the weights of every row of a contrast."""
    return weights if isinstance(weights, list) else [weights]
