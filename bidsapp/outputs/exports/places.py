"""Takes the folders of a computer, which tell names of people and projects, out of texts."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path, PurePosixPath

from bidsapp.outputs.files import read_json
from bidsapp.outputs.saved.common import Record
from bidsapp.outputs.saved.files import as_document

# Absolute paths, and those that lead out of the output folder, within a sentence.
PATH = re.compile(r"(?<![\w.:/<+~-])(?:~/|/(?=[^\s/]+/)|(?:\.\./)+)[^\s\"'<>|,;()]*[^\s\"'<>|,;().:]")
OUTSIDE = ("/", "~/", "../")
WORDS = ("BIDS_DIR", "OUTPUT_DIR")


class Places:
    """Puts words in the place of folders.

    Parameters
    ----------
    output_dir, bids_dir : Path
        Become ``OUTPUT_DIR`` and ``BIDS_DIR``, as those of the records' commands do; of every other folder
        its last name is left.
    records : sequence of Record
        What they, and the description of the dataset, name outside of the output folder is looked for.
    """

    def __init__(self, output_dir: Path, bids_dir: Path, records: Sequence[Record]) -> None:
        pairs = {(bids_dir, output_dir), (bids_dir.absolute(), output_dir.absolute())}
        pairs |= {(bids_dir.resolve(), output_dir.resolve())}
        for record in records:
            words = shlex.split(record.command or "")
            # Where flags come first it is not known which words are the folders.
            pairs |= {(Path(words[1]), Path(words[2]))} if len(words) > 2 and words[1][0] != "-" else set()
        roots = {str(path): word for pair in pairs for path, word in zip(pair, WORDS, strict=True)}
        # The output folder may lie in the other, and is found first.
        order = sorted((root for root in roots if Path(root).is_absolute()), key=lambda root: -len(root))
        self._roots = {root: roots[root] for root in order}
        places = dict(self._roots)
        documents = [read_json(output_dir / "dataset_description.json"), *map(as_document, records)]
        for text in {text for document in documents for text in _texts(document)}:
            for path in {text, *PATH.findall(text)}:
                if path.startswith(OUTSIDE):
                    places |= dict([self._place(output_dir, path)])
        self._words = {key: word for text, word in places.items() for key in (text, escape(text))}
        found = "|".join(re.escape(text) for text in sorted(self._words, key=lambda text: (-len(text), text)))
        self._pattern = re.compile(rf"(?<![\w.+/<])(?:{found})(?![\w-])")

    def hide(self, text: str) -> str:
        """Return a text with words in the place of folders."""
        return self._pattern.sub(lambda match: self._words[match[0]], text)

    def _place(self, output_dir: Path, path: str) -> tuple[str, str]:
        """Return the folder in a path as it is written there, and its word."""
        absolute = os.path.normpath(output_dir.resolve() / path)
        for root, word in self._roots.items():
            inner = os.path.relpath(absolute, root)
            if not inner.startswith("..") and path.endswith(f"/{inner}"):
                return path.removesuffix(f"/{inner}"), word
        known = self._roots.get(absolute)
        folder = PurePosixPath(path)
        folder = folder.parent if folder.suffix and known is None else folder
        return str(folder), known or folder.name


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a document, and the words of those that are commands."""
    if isinstance(value, str):
        yield value
        if value.startswith("run.py "):
            for word in shlex.split(value):
                yield from (word, word.partition("=")[2])
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
