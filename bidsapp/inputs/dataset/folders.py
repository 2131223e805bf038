"""Walk through a dataset by the names of its folders, whether they are folders or links to some."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

# What is looked into inside a folder whose name begins so; nothing lies deeper: no link leads in a circle.
INNER = {"": ("sub-",), "sub-": ("ses-", "func", "beh"), "ses-": ("func", "beh"), "func": (), "beh": ()}


def walk_files(
    folder: Path | str, ending: str | tuple[str, ...], *, skip: Collection[str] = (), kind: str = ""
) -> Iterator[Path]:
    """Yield the files with this ending, or one of several, folder by folder in the order of names.

    Parameters
    ----------
    folder : Path
        A dataset, or with ``kind`` a folder inside it.
    ending : str or tuple of str
    skip : collection of str
        Names of folders of the dataset that are not looked into.
    kind : str
        A key of INNER.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # whoever reads a file of it says what is wrong
        return
    inside = []
    for entry in entries:
        begin = next((begin for begin in INNER[kind] if entry.name.startswith(begin)), None)
        if begin is not None and entry.is_dir():
            inside += [] if entry.name in skip else [(entry.path, begin)]
        elif entry.name.endswith(ending) and not entry.name.startswith("."):
            yield Path(entry.path)
    for path, begin in inside:
        yield from walk_files(path, ending, kind=begin)
