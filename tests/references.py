"""Where large data are, and what is not ours to copy: published models, layouts, maps of others."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("TASKGLM_REFERENCE", Path(__file__).parents[2] / "shared"))
ABSENT = f"needs reference data, which TASKGLM_REFERENCE names a folder of (now {FOLDER})"


def find(pattern, accept=bool):
    """Return the files or folders as parameters of a test; without any, one that skips."""
    found = [path for path in sorted(FOLDER.glob(pattern)) if accept(path)]
    marks = [pytest.mark.reference]
    if not found:
        return [pytest.param(None, marks=[*marks, pytest.mark.skip(ABSENT)], id="none")]
    return [pytest.param(path, marks=marks, id=path.name) for path in found]
