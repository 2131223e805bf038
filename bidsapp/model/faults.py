"""The faults of a model file, collected and told together, and where in the model each of them is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from bidsapp.errors import ModelError
from bidsapp.model.json_text import JsonPath, Place, lines_of, show_path
from bidsapp.model.notes import Notes

# More faults than anybody mends at a time; the lines of more are not looked for either.
MAX_FAULTS_SHOWN = 12
MAX_FAULTS_PLACED = 200


class Faults:
    """The faults found in one model file, each with its path."""

    def __init__(self, name: str, text: str, *, markup_is_text: bool = False) -> None:
        self.name, self.text, self.markup_is_text = name, text, markup_is_text
        # Each as its path in the document, that in the file, and the message.
        self.found: list[tuple[Place, Place, str]] = []
        self.origin: Callable[[JsonPath], Place] = tuple

    def add(self, path: JsonPath, message: str) -> None:
        """Note a fault."""
        self.found.append((tuple(path), self.origin(path), message))

    def raise_any(self) -> None:
        """Raise ModelError when there is a fault; the message lists all, in the order of the file."""
        if not self.found:
            return
        found = self.found[:MAX_FAULTS_PLACED]
        lines = lines_of(self.text, [path for _, path, _ in found])
        order = sorted(zip(lines, found, strict=True), key=lambda item: item[0])
        shown = [
            f"{self.name}, line {line}, {show_path(path)}: {message}"
            for line, (_, path, message) in order[:MAX_FAULTS_SHOWN]
        ]
        if len(self.found) > MAX_FAULTS_SHOWN:
            shown.append(f"... and {len(self.found) - MAX_FAULTS_SHOWN} more faults.")
        raise ModelError("\n".join(shown))


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a model that is read, and what is said of it: faults, and what is read otherwise."""

    faults: Faults
    notes: Notes
    path: Place = ()

    def at(self, *keys: str | int) -> Self:
        """Return a place inside."""
        return type(self)(self.faults, self.notes, (*self.path, *keys))

    @property
    def where(self) -> str:
        """The place as a user reads it: ``Nodes[0].Model.X``."""
        return show_path(self.path)

    def fault(self, words: str) -> None:
        """Note a fault."""
        self.faults.add(self.path, words)

    def note(self, words: str) -> None:
        """Note what is read otherwise than its author may think."""
        self.notes.append_at(self.path, words)

    def correct(self, value: Any, words: str) -> None:
        """Note that what stands here means another value, and write that."""
        self.notes.correct(self.path, value, words)
