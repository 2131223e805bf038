#!/usr/bin/env python3
"""Compare an output folder with the tree that README shows: check_outputs.py README.md OUT.

Every line of the tree must be there, and nothing may be there that no line describes. In the tree, ``…``
stands for any text and braces for alternatives; sidecars (.json beside a data file) need no line.
"""

import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

ANY_LABEL = re.compile(r"(?<=sub-)[0-9A-Za-z]+|(?<=(?:run|ask|ast|esc)-)[0-9A-Za-z]+")
SIDECAR_OF = (".nii.gz", ".tsv")
UNLISTED = {".bidsignore", "README", "README.md"}


def read_tree(text):
    """Return the patterns of the tree below the heading Outputs; folders end with a slash."""
    block = re.search(r"^## Outputs$.*?^```\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)[1]
    patterns, folders = [], []
    for line in block.splitlines()[1:]:
        indent, name = re.match(r"([│├└─\s]*)(.*)", line).groups()
        name = re.split(r"\s{2,}", name.strip())[0]
        if not name:
            continue
        depth = len(indent) // 4 - 1
        folders = folders[:depth]
        path = "".join([*folders, name]).replace("…", "*")
        if name.endswith("/"):
            folders.append(name)
        patterns += expand_braces(path)
    parents = {
        parent for path in patterns for parent in patterns if path != parent and path.startswith(parent)
    }
    return [path for path in patterns if not (path.endswith("/") and path in parents)]


def expand_braces(text):
    """Return the alternatives of ``a-{b,c}``."""
    found = re.search(r"\{([^{}]*)\}", text)
    if not found:
        return [text]
    before, after = text[: found.start()], text[found.end() :]
    return [whole for part in found[1].split(",") for whole in expand_braces(before + part + after)]


def is_described(path, patterns):
    """Tell whether any pattern describes the file, whatever its labels."""
    for pattern in patterns:
        wide = ANY_LABEL.sub("*", pattern)
        if fnmatchcase(path, wide + "*" if pattern.endswith("/") else wide):
            return True
    return False


def is_sidecar(path, paths):
    """Tell whether the file is the sidecar of a data file that is there."""
    return path.endswith(".json") and any(path.removesuffix(".json") + end in paths for end in SIDECAR_OF)


def main(readme, output):
    """Print the differences; return 1 where there are any."""
    patterns = read_tree(Path(readme).read_text(encoding="utf-8"))
    output = Path(output)
    paths = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    missing = [
        pattern
        for pattern in patterns
        if not any(fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern) for path in paths)
    ]
    unknown = [
        path
        for path in sorted(paths - UNLISTED)
        if not is_sidecar(path, paths) and not is_described(path, patterns)
    ]
    empty = [path for path in sorted(paths) if (output / path).stat().st_size == 0]
    for title, entries in (("missing", missing), ("in no line of the tree", unknown), ("empty", empty)):
        for entry in entries:
            print(f"{title}: {entry}")
    print(f"{output}: {len(paths)} files compared with {len(patterns)} lines of the tree in {readme}")
    return 1 if missing or unknown or empty else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
