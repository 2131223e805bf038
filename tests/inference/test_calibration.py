"""A short version of benchmarks.false_positive_rates."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.false_positive_rates import DESIGNS, STATISTICS, measure

N_SETS = 120
# A rate of .05 is outside this with probability 1e-4; 16 rates are looked at.
LOW, HIGH = np.array(stats.binom.interval(1 - 1e-4, N_SETS, 0.05)) / N_SETS


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS)
def test_family_wise_error_is_alpha(design):
    rates, _ = measure(design, N_SETS, 0, 100)
    for name, rate in zip(STATISTICS, rates, strict=True):
        assert LOW <= rate <= HIGH, (design, name)
