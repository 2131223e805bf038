"""What the records of both stages have in common.

A field that a file lacks has its default, so that records of earlier versions are read. `Maybe` fields are
left out of the file where they are None; every other is always there.
"""

from typing import Annotated, TypeAlias, TypeVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from bidsapp.records.documents import Document

Value = TypeVar("Value")
LEFT_OUT = "left out of the file where None"
Maybe: TypeAlias = Annotated[Value | None, LEFT_OUT]
# Column -> weight, those that are not 0; of an F test one for each row.
Weights: TypeAlias = dict[str, float] | list[dict[str, float]]
# Of F the numerator's and the denominator's; None where they differ between voxels.
Dof: TypeAlias = float | list[int | float | None] | None

# The texts below the fields are for docs/records.md.
CONFIG = ConfigDict(use_attribute_docstrings=True, defer_build=True)


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class ModelRecord:
    """The model of an analysis; several names and paths are joined by ", "."""

    name: str
    """Its name"""
    path: str
    """`code/model-..._smdl.json`"""
    automatic: bool
    """Whether the app made it"""
    notes: tuple[str, ...] = ()
    """What of it was read otherwise than written, with the lines of its file"""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Record:
    """What both kinds have in common."""

    schema: int
    """1"""
    kind: str
    """`participant` or `group`"""
    fingerprint: str
    """Digest of inputs and settings, compared before finished work is skipped"""
    started: str
    """ISO 8601, UTC"""
    finished: str
    """The same"""
    seconds: float
    """How long it took"""
    settings: Document
    """The settings that this stage goes by, one object a part: `selection`, `model`, `control`, of
    participants `run`, of groups `group` and `permutation`"""
    versions: dict[str, str]
    """Of the app (`taskglm`), `python` and the packages that results may depend on"""
    model: ModelRecord
    """The model"""
    command: Maybe[str] = None
    """The command line as one string"""
    status: str
    """`complete`, `partial` (some runs or contrasts failed) or `failed`"""


def rows_of(weights: Weights) -> list[dict[str, float]]:
    """Return the weights of every row of a contrast."""
    return weights if isinstance(weights, list) else [weights]
