"""What of a model is read otherwise than written: one list, each note once, with the lines of the file."""

from typing import Any

from bidsapp.errors import ModelCaution, ModelNote
from bidsapp.model.json_text import JsonPath, Place, lines_of
from bidsapp.records.documents import Document


class Notes:
    """The notes on one model, and where the parts of its document stood in the file before they moved.

    Parameters
    ----------
    document : dict
        A parsed model. It is brought into today's form in place; its objects and lists keep their places.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        # Each note with the paths that it is about; keys by their names before, of an object's id.
        self.found: dict[str, list[Place]] = {}
        self.renamed: dict[tuple[int, str | int], str] = {}
        self.warnings: set[str] = set()
        self.known: dict[int, tuple[Place, Any]] = {}
        waiting: list[tuple[Place, Any]] = [((), document)]
        while waiting:
            path, value = waiting.pop()
            if isinstance(value, (dict, list)):
                # The value is kept, so that no other one gets its id.
                self.known[id(value)] = path, value
                items = value.items() if isinstance(value, dict) else enumerate(value)
                waiting += [((*path, key), item) for key, item in items]

    def append(self, words: str, table: Any = None, key: str | None = None) -> None:
        """Note something of an object of the document, or of one of its keys."""
        path = self.known.get(id(table), ((), None))[0]
        here = (*path, self.renamed.get((id(table), key), key)) if key is not None else path
        self.found.setdefault(words, []).append(here)

    def warn(self, path: JsonPath, words: str) -> None:
        """Note a warning on what stands at a path of the document."""
        self.warnings.add(words)
        self.append_at(path, words)

    def forget(self, path: JsonPath) -> None:
        """Take back what was noted of a part of the document that is left out."""
        origin = self.origin(path)
        for words, places in list(self.found.items()):
            self.found[words] = [place for place in places if place[: len(origin)] != origin]
            if not self.found[words]:
                del self.found[words]

    def append_at(self, path: JsonPath, words: str) -> None:
        """Note something of what stands at a path of the document in today's form."""
        self.found.setdefault(words, []).append(self.origin(path))

    def rename(self, table: Document, old: str, new: str) -> None:
        """Give a key its name of today, at its place."""
        self.append(f"{old!r} is read as {new!r}", table, old)
        self.renamed[id(table), new] = old
        items = [(new if key == old else key, value) for key, value in table.items()]
        table.clear()
        table.update(items)

    def respell(self, table: Document, key: str, value: Any) -> None:
        """Give a key the value that is meant, at its place."""
        self.append(f"{key} {table[key]!r} is read as {value!r}", table, key)
        table[key] = value

    def adopt(self, made: Any, table: Any, key: str | None = None) -> Any:
        """Return a part that is made now; it counts as standing where an object, or one of its keys, does."""
        path = self.known.get(id(table), ((), None))[0]
        self.known[id(made)] = (path if key is None else (*path, key)), made
        return made

    def correct(self, path: JsonPath, value: Any, words: str) -> None:
        """Note that what stands at a path of the document means another value, and write that there."""
        self.append_at(path, words)
        *parents, last = path
        table: Any = self.document
        for part in parents:
            table = table[part]
        table[last] = value

    def origin(self, path: JsonPath) -> Place:
        """Return the path that a path of today's form had in the file."""
        found: Place = ()
        value: Any = self.document
        for part in path:
            found = (*self.known.get(id(value), (found, None))[0], self.renamed.get((id(value), part), part))
            inside = part in value if isinstance(value, dict) else _is_index(value, part)
            value = value[part] if inside else None
        return found

    def finish(self, text: str, file: str) -> tuple[ModelNote, ...]:
        """Return the notes with the lines that they have in the text of their file."""
        lines = iter(lines_of(text, [path for paths in self.found.values() for path in paths]))
        return tuple(
            (ModelCaution if words in self.warnings else ModelNote)(
                words, tuple(sorted({next(lines) for _ in paths})), file
            )
            for words, paths in self.found.items()
        )


def _is_index(value: Any, part: str | int) -> bool:
    return isinstance(value, list) and isinstance(part, int) and part < len(value)
