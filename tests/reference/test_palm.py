"""PALM's exhaustive one-sample test (1,024 flips) under its conventions: difference 0. See maps/README.md."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bidsapp.inference.permutation import permute
from bidsapp.records.maps import Geometry, InferenceOptions

MAPS = Path(__file__).parent / "maps"
# PALM keeps t as float32.
T_TOLERANCE = 2e-6


def load(name):
    """Return the maps of a test, (..., n_points) each, and their geometry."""
    maps = np.load(MAPS / f"{name}.npz")
    return maps, Geometry(maps["mask"], maps["affine"])


@pytest.fixture(scope="module", params=["pos", "neg"])
def one_sample(request):
    """Return our inference and PALM's maps of one tail."""
    tail = {"pos": "positive", "neg": "negative"}[request.param]
    options = InferenceOptions(
        n_shuffles=1024,
        tail=tail,
        cluster_forming_p=stats.norm.sf(2.3),
        mass="raw",
        scale="z",
        tfce_steps=100,
    )
    maps, geometry = load("one_sample")
    inference = permute(maps["effects"], np.ones((10, 1)), [[1]], geometry, options)
    return inference, lambda name: maps[f"palm_{name}_{request.param}"]


def test_one_sample_t_equals_palm(one_sample):
    inference, palm = one_sample
    sign = 1 if inference.options.tail == "positive" else -1
    np.testing.assert_allclose(sign * inference.statistic, palm("t"), rtol=T_TOLERANCE, atol=T_TOLERANCE)


def test_uncorrected_p_equals_palm(one_sample):
    inference, palm = one_sample
    np.testing.assert_array_equal(inference.p * 1024, palm("puncorrected"))


@pytest.mark.parametrize(
    ("name", "file"),
    [("height", "maxT"), ("extent", "clustersize"), ("mass", "clustermass"), ("tfce", "tfce")],
)
def test_corrected_p_equals_palm(one_sample, name, file):
    inference, palm = one_sample
    np.testing.assert_array_equal(inference.statistics[name].p_fwe * 1024, palm(f"{file}_pfwe"))


@pytest.mark.parametrize(("name", "file"), [("mass", "clustermass"), ("tfce", "tfce")])
def test_observed_maps_equal_palm(one_sample, name, file):
    inference, palm = one_sample
    observed = np.abs(inference.statistics[name].observed)
    np.testing.assert_allclose(observed, palm(file), rtol=T_TOLERANCE, atol=1e-5)


# PALM drew 2,000 permutations and so do we, others: the difference of two such p-values near .5 has a
# standard error of .016; the largest of thousands of strongly dependent voxels stays within four of them.
MONTE_CARLO = 0.064


def test_two_groups_with_a_covariate_agree_with_palm():
    palm, geometry = load("two_groups")
    options = InferenceOptions(
        n_shuffles=2000,
        tail="positive",
        cluster_forming_p=stats.norm.sf(2.5),
        scale="z",
        tfce_steps=100,
        seed=1,
    )
    result = permute(palm["effects"], palm["design"], palm["contrast"], geometry, options)
    np.testing.assert_allclose(result.statistic, palm["palm_t"], atol=2e-6)
    for name, file in (("height", "maxT"), ("extent", "clustersize"), ("tfce", "tfce")):
        difference = result.statistics[name].p_fwe - palm[f"palm_{file}_pfwe"]
        assert np.abs(difference).max() < MONTE_CARLO
    assert np.abs(result.p - palm["palm_puncorrected"]).max() < MONTE_CARLO


def test_repeated_measures_f_within_blocks_agrees_with_palm():
    palm, geometry = load("repeated_measures")
    blocks = palm["blocks"].ravel()
    options = InferenceOptions(n_shuffles=2000, statistics=("height",), blocks=blocks, seed=1)
    result = permute(palm["effects"], palm["design"], palm["t_contrasts"], geometry, options)
    assert (result.scheme, result.test) == ("permutation", "F")
    np.testing.assert_allclose(result.statistic, palm["palm_F"], rtol=2e-6, atol=2e-6)
    difference = result.statistics["height"].p_fwe - palm["palm_maxF_pfwe"]
    assert np.abs(difference).max() < MONTE_CARLO
    assert np.abs(result.p - palm["palm_puncorrected"]).max() < MONTE_CARLO
