"""Contrasts within subjects of a model file."""

import numpy as np
import pytest

from bidsapp.errors import ModelError
from bidsapp.plan.group.within import subject_contrasts
from bidsapp.records.model import Node


def node_with(cells, weights):
    item = {"Name": "x", "Cells": cells, "Weights": weights}
    return Node("Dataset", "n", (), (), software={"TaskGLM": {"SubjectContrasts": [item]}}, where="Nodes[0]")


def test_cells_without_weight_and_dependent_rows_are_left_out():
    found = subject_contrasts(node_with(["A", "B", "C"], [[1, 0, -1], [2, 0, -2]]))["x"]
    assert found.cells == ("A", "C")
    np.testing.assert_array_equal(found.weights, [[1, -1]])


def test_contrast_without_weights_is_refused():
    with pytest.raises(ModelError, match="'x' has no weight other than 0"):
        subject_contrasts(node_with(["A", "B"], [[0, 0]]))
