"""The faults of a model file, collected and told together."""

from collections.abc import Callable

from bidsapp.errors import ModelError
from bidsapp.model.json_text import JsonPath, Place, lines_of, show_path

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
