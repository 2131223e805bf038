"""The data of the viewer: what is packed comes out again."""

import base64
import gzip
import json

import nibabel as nib
import numpy as np
import pytest
from saved_records import make

from bidsapp.outputs.results import Volume
from bidsapp.outputs.saved.group import ThresholdRecord
from bidsapp.report.drawing.background import Background
from bidsapp.report.viewer import MAX_PAGE_BYTES, pack_contrast, render_viewer

AFFINE = np.diag([4.0, 4, 4, 1])
VALUES = np.random.default_rng(0).normal(0, 3, (6, 7, 8)).astype(np.float32)
THRESHOLD = make(ThresholdRecord, method="maxT", title="<b>", cutoff=2.0)


def unpack(text):
    return gzip.decompress(base64.b64decode(text))


@pytest.fixture
def packed():
    kept = Volume(np.where(np.abs(VALUES) > 2, VALUES, 0), AFFINE)
    options = {"limit": 8.0, "start": (4, 4, 4), "strips": {"4,4,4": "<svg/>"}}
    return pack_contrast("t", Volume(VALUES, AFFINE), [(THRESHOLD, kept)], **options)


def test_map_comes_out_to_a_hundredth(packed):
    data = json.loads(packed)
    image = nib.Nifti1Image.from_bytes(unpack(data["map"]))
    assert np.abs(np.asarray(image.dataobj) * data["slope"] - VALUES).max() <= 0.0051
    assert np.array_equal(image.affine, AFFINE)


def test_mask_holds_exactly_the_surviving_voxels(packed):
    mask = nib.Nifti1Image.from_bytes(unpack(json.loads(packed)["mask"]))
    assert np.array_equal(np.asarray(mask.dataobj) & 1, np.abs(VALUES) > 2)


def test_data_are_safe_inside_a_script(packed):
    assert "<" not in packed
    assert json.loads(packed)["methods"][0]["title"] == "<b>"


def test_infinite_and_missing_values_are_packed():
    values = VALUES.copy()
    values[0, 0, :2] = np.inf, np.nan
    data = json.loads(pack_contrast("z", Volume(values, AFFINE), [], limit=8.0, start=(0, 0, 0), strips={}))
    image = np.asarray(nib.Nifti1Image.from_bytes(unpack(data["map"])).dataobj)
    assert image[0, 0, 0] > 30000
    assert image[0, 0, 1] == 0


def test_contrasts_beyond_the_size_of_a_page_have_no_viewer():
    anatomy = Background(np.ones((4, 4, 4), np.float32), AFFINE, "flat")
    contrasts = [(f"c-{i}", "x" * (MAX_PAGE_BYTES // 2)) for i in range(3)]
    page = render_viewer(anatomy, contrasts, 1000)
    assert 'id="data-c-0"' in page
    assert 'id="data-c-1"' not in page


def test_a_page_without_contrasts_has_no_viewer():
    assert render_viewer(None, [], 0) == ""
