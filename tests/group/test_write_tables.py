"""What the group stage adds to its tables of clusters and peaks."""

from types import SimpleNamespace

import pandas as pd
import pytest
from scipy import stats

from bidsapp.group.write_tables import add_limits


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
