"""What the group stage adds to its tables of clusters and peaks."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bidsapp.group.write_tables import add_limits, make_interval


def make_frame():
    return pd.DataFrame({"p": [0.001, 0.2], "p_fwe": [0.01, 0.5], "tdp": [1.0, 0.0]})


def make_inference(*, exact=False, tail="none"):
    options = SimpleNamespace(tail_approximation=tail)
    return SimpleNamespace(exact=exact, n_shuffles=1000, options=options, conventions={})


def test_a_p_from_drawn_shuffles_has_its_limits_beside_it():
    found = add_limits(make_frame(), "maxT", make_inference())
    assert list(found) == ["p", "p_fwe", "p_fwe_low", "p_fwe_high", "tdp"]
    # 10 of 1,000 with the observed one: 9 hits among 999 draws.
    interval = stats.binomtest(9, 999).proportion_ci(method="exact")
    assert found.loc[0, "p_fwe_low"] == pytest.approx(interval.low)
    assert found.loc[0, "p_fwe_high"] == pytest.approx(interval.high)


@pytest.mark.parametrize(
    ("label", "inference"),
    [
        ("maxT", make_inference(exact=True)),
        ("maxT", make_inference(tail="gpd")),
        ("maxMass", make_inference()),
        ("fdrBH", make_inference()),
    ],
)
def test_other_p_have_no_limits(label, inference):
    assert list(add_limits(make_frame(), label, inference)) == ["p", "p_fwe", "tdp"]


def test_an_effect_has_its_standard_error_and_its_limits_by_t():
    dof = np.array([7.0, 11.3])
    estimate = SimpleNamespace(effect=np.array([1.5, -2.0]), variance=np.array([0.25, 4.0]), dof=dof)
    found = make_interval(estimate)
    low, high = stats.t.interval(0.95, dof, estimate.effect, [0.5, 2.0])
    assert found["effect_se"] == pytest.approx([0.5, 2.0])
    assert found["effect_low"] == pytest.approx(low)
    assert found["effect_high"] == pytest.approx(high)


def test_a_test_without_an_effect_has_no_interval():
    assert make_interval(SimpleNamespace(variance=None)) == {}
