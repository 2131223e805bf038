"""What options mean in the space of a map, and how sidecars name it."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from bidsapp.errors import SettingsError
from bidsapp.inference.conventions import (
    as_it_is,
    check_options,
    conventions_of,
    describe_conventions,
    make_space,
)
from bidsapp.records.maps import Geometry, InferenceOptions

GEOMETRY = Geometry(np.ones((3, 3, 3), bool), np.eye(4))


def make_test(name="t", is_signed=True):
    """Return a test with 9 degrees of freedom, whose z is told by its sign."""
    cutoff = stats.t(9).isf if name == "t" else stats.f(2, 9).isf
    return SimpleNamespace(name=name, is_signed=is_signed, cutoff=cutoff, z=np.negative)


def described(test=None, *, mode="free", **options):
    test, options = test or make_test(), InferenceOptions(**options)
    space = make_space(test, GEOMETRY, options)
    return describe_conventions(test, SimpleNamespace(mode=mode), space, options)


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({}, {}),
        ({"tail": "positive"}, {"TwoSided": False, "Tails": "positive tail"}),
        ({"tail": "negative"}, {"TwoSided": False, "Tails": "negative tail"}),
        ({"mass": "raw"}, {"ClusterMass": "sum of the statistic"}),
        ({"tfce_steps": 50}, {"TFCE": "50 steps of each maximum"}),
        ({"tfce_powers": (1.0, 3.0)}, {"TFCEExtentPower": 1.0, "TFCEHeightPower": 3.0}),
        ({"connectivity": 18}, {"ClusterConnectivity": 18}),
        ({"tfce_connectivity": 26}, {"TFCEConnectivity": 26}),
        ({"blocks": np.zeros(12)}, {"ExchangeabilityBlocks": True}),
        ({"variance_groups": np.zeros(12)}, {"VarianceGroups": True}),
        ({"tail_approximation": "gpd"}, {"TailApproximation": "gpd"}),
        ({"stop_when_decided": True}, {"StopWhenDecided": True}),
        (
            {"cluster_forming_p": 0.01},
            {"ClusterFormingP": 0.01, "ClusterFormingThreshold": pytest.approx(stats.t.isf(0.01, 9))},
        ),
        (
            {"scale": "z"},
            {
                "ClusterScale": "z",
                "TFCEScale": "z",
                "ClusterFormingThreshold": pytest.approx(stats.norm.isf(0.001)),
            },
        ),
    ],
    ids=str,
)
def test_each_option_changes_its_convention_and_no_other(options, changed):
    usual = {
        "Statistic": "t",
        "TwoSided": True,
        "Tails": "largest absolute value of both tails",
        "TieTolerance": 1e-9,
        "ShuffleMode": "free",
        "ExchangeabilityBlocks": False,
        "VarianceGroups": False,
        "ClusterFormingP": 0.001,
        "ClusterFormingThreshold": pytest.approx(stats.t.isf(0.001, 9)),
        "ClusterConnectivity": 26,
        "ClusterMass": "sum above the threshold",
        "ClusterScale": "t",
        "TFCE": "exact integral",
        "TFCEScale": "t",
        "TFCEConnectivity": 6,
        "TFCEExtentPower": 0.5,
        "TFCEHeightPower": 2.0,
        "TailApproximation": "none",
        "StopWhenDecided": False,
    }
    found = described(**options)
    assert {key: found[key] for key in usual} == usual | changed


def test_a_test_without_a_sign_has_an_upper_tail_on_z():
    found = described(make_test("F", is_signed=False), mode="whole")
    assert (found["TwoSided"], found["Tails"], found["ClusterScale"]) == (False, "upper tail", "z")
    assert found["ShuffleMode"] == "whole"


@pytest.mark.parametrize("name", ["t", "F"])
@pytest.mark.parametrize("scale", ["t", "z"])
def test_the_space_has_thresholds_in_both_units(name, scale):
    options = InferenceOptions(
        cluster_forming_p=0.01, scale=scale, mass="raw", connectivity=18, tfce_powers=(1.0, 3.0), tfce_steps=7
    )
    space = make_space(make_test(name, is_signed=name == "t"), GEOMETRY, options)
    own = stats.t.isf(0.01, 9) if name == "t" else stats.f.isf(0.01, 2, 9)
    on_z = (name, scale) != ("t", "t")
    assert space.cutoff == pytest.approx(stats.norm.isf(0.01) if on_z else own)
    assert space.statistic_cutoff == pytest.approx(own)
    assert (space.scale is as_it_is) == (not on_z)
    assert space.scale(2.0) == (-2.0 if on_z else 2.0)
    assert (space.offset, space.two_tailed) == (0.0, name == "t")
    assert (space.tfce_powers, space.tfce_steps) == ((1.0, 3.0), 7)
    assert (space.neighbours.shape[1], space.tfce_neighbours.shape[1]) == (18, 6)
    # Where there is no neighbour the table has a point beyond the last; sizes go to the first power.
    np.testing.assert_array_equal(space.tfce_table == 27, space.tfce_neighbours == -1)
    np.testing.assert_array_equal(
        space.tfce_table[space.tfce_neighbours >= 0], space.tfce_neighbours[space.tfce_neighbours >= 0]
    )
    np.testing.assert_array_equal(space.size_powers, np.arange(28))
    excess = make_space(make_test(), GEOMETRY, InferenceOptions())
    assert excess.offset == excess.cutoff
    np.testing.assert_allclose(excess.size_powers, np.sqrt(np.arange(28)))


def test_a_statistic_has_the_conventions_that_are_about_it():
    inference = SimpleNamespace(
        conventions=dict.fromkeys(["Tails", "Family", "ClusterMass", "ClusterScale", "TFCE", "TFCEScale"], 1)
    )
    found = {
        name: set(conventions_of(inference, name)) for name in ("height", "extent", "mass", "tfce", None)
    }
    assert found == {
        "height": {"Tails", "Family"},
        "extent": {"Tails", "Family", "ClusterScale"},
        "mass": {"Tails", "Family", "ClusterScale", "ClusterMass"},
        "tfce": {"Tails", "Family", "TFCE", "TFCEScale"},
        None: {"Tails"},
    }


def test_options_without_sense_are_refused():
    check_options(InferenceOptions(n_shuffles=2))
    with pytest.raises(SettingsError, match="at least 2 shuffles"):
        check_options(InferenceOptions(n_shuffles=1))
    with pytest.raises(SettingsError, match=r"'peak' is not one of height, extent"):
        check_options(InferenceOptions(statistics=("height", "peak")))
