import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bidsapp.errors import InputError
from bidsapp.records.maps import Geometry
from bidsapp.tables.regions import Regions, average_regions, read_regions

AFFINE = np.array([[4.0, 0, 0, -80], [0, 4.0, 0, -110], [0, 0, 4.0, -70], [0, 0, 0, 1]])


@pytest.fixture
def geometry():
    mask = np.zeros((40, 48, 40), bool)
    mask[5:35, 5:40, 5:35] = True
    return Geometry(mask, AFFINE)


@pytest.fixture
def image(tmp_path):
    """A label image at 2 mm: region 3 left of the middle, region 8 right of it."""
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    labels = np.zeros((80, 96, 80), np.int16)
    labels[:40], labels[40:] = 3, 8
    nib.save(nib.Nifti1Image(labels, fine), tmp_path / "halves.nii.gz")
    return tmp_path / "halves.nii.gz"


def test_voxels_find_their_region_by_position(image, geometry):
    regions = read_regions(str(image), geometry)
    assert regions.names == ["3", "8"]
    x = geometry.coordinates()[:, 0]
    assert x[regions.members[0]].max() < x[regions.members[1]].min()
    assert sum(map(len, regions.members)) == geometry.n_points


def test_names_come_from_a_table(image, geometry, tmp_path):
    pd.DataFrame({"index": [3, 8], "name": ["left", "right"]}).to_csv(
        tmp_path / "n.tsv", sep="\t", index=False
    )
    assert read_regions(f"{image},{tmp_path / 'n.tsv'}", geometry).names == ["left", "right"]


def test_a_row_of_a_table_without_a_name_is_called_by_its_index(image, geometry, tmp_path):
    (tmp_path / "n.tsv").write_text("index\tname\n3.0\tn/a\n8\tright\n")
    assert read_regions(f"{image},{tmp_path / 'n.tsv'}", geometry).names == ["3", "right"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("index,name\n3,left\n", "is not tab-separated"),
        ("index\tlabel\n3\tleft\n", "needs the columns index and name"),
        ("index\tname\nthree\tleft\n", "an index that is no number .*'three'"),
        ("index\tname\nn/a\tleft\n", "an index that is no number"),
    ],
)
def test_a_table_of_names_that_does_not_do_is_told(image, geometry, tmp_path, text, said):
    (tmp_path / "n.tsv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_regions(f"{image},{tmp_path / 'n.tsv'}", geometry)


def test_an_atlas_that_is_no_image_is_told(geometry, tmp_path):
    (tmp_path / "atlas.nii.gz").write_text("no image")
    with pytest.raises(InputError, match="atlas.nii.gz is not an image"):
        read_regions(str(tmp_path / "atlas.nii.gz"), geometry)


def test_bundled_atlases_have_their_names(geometry):
    assert "Hippocampus_L" in read_regions("aal", geometry).names


@pytest.mark.parametrize("spec", ["nothing.nii.gz", "juelch"])
def test_unknown_atlas_is_refused(spec, geometry):
    with pytest.raises(InputError, match="neither a file nor one of"):
        read_regions(spec, geometry)


def test_image_without_a_region_in_the_mask_is_refused(geometry, tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), AFFINE), tmp_path / "empty.nii.gz")
    with pytest.raises(InputError, match="no voxel of the maps"):
        read_regions(str(tmp_path / "empty.nii.gz"), geometry)


def test_mean_leaves_missing_voxels_out_and_needs_half_of_them():
    values = np.array([[1.0, 2.0, 3.0, np.nan], [1.0, np.nan, np.nan, np.nan]], np.float32)
    regions = Regions("r", "r", ["all", "last two"], [np.arange(4), np.array([2, 3])])
    np.testing.assert_allclose(average_regions(values, regions), [[2.0, 3.0], [np.nan, np.nan]])
