"""The model of a group in words, as record, pages and methods text have it."""

from types import SimpleNamespace

import numpy as np

from bidsapp.group.write import describe_model
from bidsapp.records.plan import Within


def make_fit(contrast, matrix, *, cells=(), subjects="abc"):
    """Return what is read of a fit."""
    within = Within(tuple(cells), np.ones((1, len(cells)))) if cells else None
    columns = [f"x{i}" for i in range(np.shape(matrix)[1])]
    design = SimpleNamespace(matrix=np.asarray(matrix, float), columns=columns)
    return SimpleNamespace(
        contrast=contrast, subjects=tuple(subjects), design=design, within=within, coding=""
    )


def test_a_mean_claims_no_direction():
    assert (
        describe_model([make_fit("faces", np.ones((3, 1)))]) == "One-sample model: the mean over 3 subjects."
    )


def test_contrasts_within_subjects_and_their_cells_are_named():
    fits = [
        make_fit("shape", np.ones((2, 1)), cells=("A1", "A2"), subjects="ab"),
        make_fit("shape x size", np.ones((3, 1)), cells=("A2", "B1")),
    ]
    assert describe_model(fits) == (
        "Repeated measures: contrasts within subjects (shape, shape x size) of 3 cells (A1, A2, B1). "
        "One-sample model: the mean over 3 subjects."
    )
    groups = [make_fit("shape", np.eye(3), cells=("A1", "A2"))]
    assert describe_model(groups) == (
        "Repeated measures: contrasts within subjects (shape) of 2 cells (A1, A2). "
        "General linear model of 3 subjects with the columns x0, x1, x2."
    )
