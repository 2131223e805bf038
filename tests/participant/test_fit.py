"""How estimates of several inputs become one."""

from types import SimpleNamespace

import numpy as np
import pytest

from bidsapp.participant.fit import combine
from bidsapp.records.maps import Contrast, Estimate, JointEstimate


@pytest.mark.parametrize("order", [1, -1])
def test_inputs_of_two_kinds_are_no_estimate_of_some_of_them(order):
    one = np.ones(3)
    effect = Estimate("a", one, one, one)
    joint = JointEstimate("a", np.ones((2, 3)), np.ones((2, 2, 3)), one)
    inputs = [SimpleNamespace(estimate=estimate, parts=()) for estimate in (effect, joint)][::order]
    contrast = Contrast("a", "t", ("1",), np.ones((1, 1)))
    with pytest.raises(AssertionError, match="all of one kind"):
        combine(inputs, np.ones((2, 1)), contrast, "precision")
