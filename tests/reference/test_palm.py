"""PALM's exhaustive one-sample test (1,024 flips) under its conventions: difference 0."""

import nibabel as nib
import numpy as np
import pytest
from scipy import stats

from bidsapp.inference.permutation import permute
from bidsapp.records import Geometry, InferenceOptions

# PALM keeps t as float32.
T_TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def read(shared):
    """Return a function that reads one of the reference maps as (..., n_points)."""
    mask = nib.load(shared / "reference" / "mask.nii.gz").get_fdata() > 0
    return lambda name: nib.load(shared / "reference" / name).get_fdata()[mask].T


@pytest.fixture(scope="module")
def geometry(shared):
    image = nib.load(shared / "reference" / "mask.nii.gz")
    return Geometry(image.get_fdata() > 0, image.affine)


@pytest.fixture(scope="module", params=["pos", "neg"])
def one_sample(request, read, geometry):
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
    data = read("one_sample/effects.nii.gz")
    inference = permute(data, np.ones((10, 1)), [[1]], geometry, options)
    return inference, lambda name: read(f"one_sample/palm_{name}_{request.param}.nii.gz")


def test_one_sample_t_equals_palm(one_sample):
    inference, palm = one_sample
    sign = 1 if inference.options.tail == "positive" else -1
    np.testing.assert_allclose(sign * inference.statistic, palm("t"), rtol=T_TOLERANCE, atol=T_TOLERANCE)


def test_uncorrected_p_equals_palm(one_sample):
    inference, palm = one_sample
    np.testing.assert_array_equal(inference.p.astype(np.float32), palm("puncorrected").astype(np.float32))


@pytest.mark.parametrize(
    ("name", "file"),
    [("height", "maxT"), ("extent", "clustersize"), ("mass", "clustermass"), ("tfce", "tfce")],
)
def test_corrected_p_equals_palm(one_sample, name, file):
    inference, palm = one_sample
    p = inference.statistics[name].p_fwe.astype(np.float32)
    np.testing.assert_array_equal(p, palm(f"{file}_pfwe").astype(np.float32))


@pytest.mark.parametrize(("name", "file"), [("mass", "clustermass"), ("tfce", "tfce")])
def test_observed_maps_equal_palm(one_sample, name, file):
    inference, palm = one_sample
    observed = np.abs(inference.statistics[name].observed)
    np.testing.assert_allclose(observed, palm(file), rtol=T_TOLERANCE, atol=1e-5)


# PALM drew 2,000 permutations and so do we, others: the difference of two such p-values near .5 has a
# standard error of .016; the largest of thousands of strongly dependent voxels stays within four of them.
MONTE_CARLO = 0.064


def test_two_groups_with_a_covariate_agree_with_palm(read, geometry, shared):
    folder = shared / "reference" / "two_groups"
    design, contrast = (
        np.loadtxt(folder / f"{n}.csv", delimiter=",", ndmin=2) for n in ("design", "contrast")
    )
    options = InferenceOptions(
        n_shuffles=2000,
        tail="positive",
        cluster_forming_p=stats.norm.sf(2.5),
        scale="z",
        tfce_steps=100,
        seed=1,
    )
    result = permute(read("two_groups/effects.nii.gz"), design, contrast, geometry, options)
    np.testing.assert_allclose(result.statistic, read("two_groups/palm_t.nii.gz"), atol=2e-6)
    for name, file in (("height", "maxT"), ("extent", "clustersize"), ("tfce", "tfce")):
        palm = read(f"two_groups/palm_{file}_pfwe.nii.gz")
        assert np.abs(result.statistics[name].p_fwe - palm).max() < MONTE_CARLO
    assert np.abs(result.p - read("two_groups/palm_puncorrected.nii.gz")).max() < MONTE_CARLO


def test_repeated_measures_f_within_blocks_agrees_with_palm(read, geometry, shared):
    folder = shared / "reference" / "repeated_measures"
    design, weights = (np.loadtxt(folder / f"{n}.csv", delimiter=",") for n in ("design", "t_contrasts"))
    blocks = np.loadtxt(folder / "blocks.csv")
    options = InferenceOptions(n_shuffles=2000, statistics=("height",), blocks=blocks, seed=1)
    result = permute(read("repeated_measures/effects.nii.gz"), design, weights, geometry, options)
    assert (result.scheme, result.test) == ("permutation", "F")
    np.testing.assert_allclose(
        result.statistic, read("repeated_measures/palm_F.nii.gz"), rtol=2e-6, atol=2e-6
    )
    palm = read("repeated_measures/palm_maxF_pfwe.nii.gz")
    assert np.abs(result.statistics["height"].p_fwe - palm).max() < MONTE_CARLO
    assert np.abs(result.p - read("repeated_measures/palm_puncorrected.nii.gz")).max() < MONTE_CARLO
