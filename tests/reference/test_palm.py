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
        n_shuffles=1024, tail=tail, cluster_forming_p=stats.norm.sf(2.3), mass="raw", scale="z"
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
    ("name", "file"), [("height", "maxT"), ("extent", "clustersize"), ("mass", "clustermass")]
)
def test_corrected_p_equals_palm(one_sample, name, file):
    inference, palm = one_sample
    p = inference.statistics[name].p_fwe.astype(np.float32)
    np.testing.assert_array_equal(p, palm(f"{file}_pfwe").astype(np.float32))
