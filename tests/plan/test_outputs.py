"""Two estimates of a plan never have one file."""

from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.errors import ModelError
from bidsapp.plan.nodes import check_outputs
from bidsapp.records.maps import Contrast


def fit(entities, node="run", name="a"):
    contrast = Contrast(name, "t", ("a",), np.ones((1, 1)))
    return SimpleNamespace(node=node, entities=entities, contrasts=(contrast,), skipped={})


def test_fits_that_no_entity_tells_apart_are_refused():
    with pytest.raises(
        ModelError, match=r"2 fits of one node would write sub-01/func/sub-01_node-run_contrast-a_"
    ):
        check_outputs([fit({"sub": "01"}), fit({"sub": "02"}), fit({"sub": "01"})])


def test_fits_of_other_entities_nodes_and_contrasts_are_apart():
    check_outputs(
        [fit({"sub": "01", "run": "1"}), fit({"sub": "01", "run": "2"}), fit({"sub": "01"}, "subject")]
    )
