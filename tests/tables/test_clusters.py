"""Clusters and peaks, against hand-made maps and nilearn's table where that is right."""

import warnings

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_sample_motor_activation_image
from nilearn.image import load_img
from nilearn.reporting import get_clusters_table
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage
from scipy.ndimage import center_of_mass, generate_binary_structure, label

from bidsapp.inference.statistics.clusters import find_clusters
from bidsapp.records.maps import Geometry
from bidsapp.tables.clusters import COLUMNS, describe_columns, make_cluster_table
from bidsapp.vocabulary.thresholds import THRESHOLDS

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
XYZ = ["peak_x", "peak_y", "peak_z"]


def make_geometry(shape=(12, 12, 12)):
    return Geometry(np.ones(shape, bool), AFFINE)


def table_of(volume, threshold=0.5, **options):
    geometry = make_geometry(volume.shape)
    values = volume[geometry.mask]
    return make_cluster_table({"z": values}, np.abs(values) > threshold, geometry, **options)


@pytest.fixture
def two_clusters():
    volume = np.zeros((12, 12, 12))
    volume[1:4, 1:4, 1:4] = 1.0
    volume[2, 2, 2] = 3.0
    volume[8:10, 8:10, 8:10] = -1.0
    volume[9, 9, 9] = -5.0
    return volume


def test_clusters_are_numbered_by_size_over_both_signs(two_clusters):
    clusters = table_of(two_clusters).clusters
    assert clusters["n_voxels"].tolist() == [27, 8]
    assert clusters["sign"].tolist() == ["positive", "negative"]
    assert clusters["volume_mm3"].tolist() == [216.0, 64.0]


def test_peak_of_a_negative_cluster_is_its_minimum(two_clusters):
    clusters = table_of(two_clusters).clusters
    assert clusters["z"].tolist() == [3.0, -5.0]
    assert clusters[["peak_x", "peak_y", "peak_z"]].iloc[1].tolist() == [18.0, 18.0, 18.0]


def test_centre_of_a_cluster_is_scipys_centre_of_mass_of_its_statistic(two_clusters):
    clusters = table_of(two_clusters).clusters
    for row, sign in zip(clusters.to_dict("records"), (1, -1), strict=True):
        centre = 2.0 * np.array(center_of_mass(np.maximum(sign * two_clusters, 0)))
        assert [row[f"centre_{axis}"] for axis in "xyz"] == pytest.approx(centre, abs=0.001)


def test_touching_clusters_of_opposite_sign_stay_apart():
    volume = np.zeros((6, 6, 6))
    volume[1:3], volume[3:5] = 1.0, -1.0
    assert len(table_of(volume).clusters) == 2


@pytest.mark.parametrize("connectivity", [6, 18, 26])
def test_tables_number_clusters_as_the_inference_does(rng, connectivity):
    """Also where sizes and heights are the same: many small clusters, of few heights and both signs."""
    structure = generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    for _ in range(20):
        volume = rng.choice([0.0, 0.0, 0.0, 1.0, -1.0, 2.0, -2.0], size=(9, 8, 7))
        geometry, values = make_geometry(volume.shape), volume.ravel()
        found = table_of(volume, connectivity=connectivity).labels
        neighbours = geometry.neighbours(connectivity)
        np.testing.assert_array_equal(
            found, find_clusters(values, 0.5, neighbours, two_tailed=True, offset=0.0).labels
        )
        parts = []
        for sign in (1, -1):
            labels, count = label(sign * volume > 0.5, structure)
            parts += [np.flatnonzero(labels == k + 1) for k in range(count)]
        parts.sort(key=lambda points: (-len(points), -np.abs(values[points]).max(), points[0]))
        expected = np.zeros(volume.size, int)
        for number, points in enumerate(parts, 1):
            expected[points] = number
        np.testing.assert_array_equal(found, expected)


def test_numbers_do_not_depend_on_the_sign_of_the_map(two_clusters):
    plus, minus = table_of(two_clusters), table_of(-two_clusters)
    assert np.array_equal(plus.labels, minus.labels)


@pytest.mark.parametrize(("connectivity", "count"), [(6, 3), (18, 2), (26, 1)])
def test_connectivity_decides_who_hangs_together(connectivity, count):
    volume = np.zeros((6, 6, 6))
    volume[1, 1, 1] = volume[2, 2, 1] = volume[3, 3, 2] = 1.0
    assert len(table_of(volume, connectivity=connectivity).clusters) == count


def test_peak_of_a_ring_lies_on_the_ring():
    ring = make_ring()
    table = table_of(ring)
    assert len(table.peaks) == 1
    assert ring[tuple(voxels_of(table.peaks, AFFINE)[0])] == 1.0


def test_a_plateau_below_a_slope_is_no_peak():
    volume = np.zeros((9, 3, 3))
    volume[1:4, 1, 1], volume[4, 1, 1], volume[5, 1, 1] = 2.0, 3.0, 1.0
    assert table_of(volume, min_distance_mm=0).peaks["z"].tolist() == [3.0]


def test_peaks_of_a_cluster_keep_their_distance():
    volume = np.full((12, 3, 3), 1.0)
    volume[1, 1, 1], volume[4, 1, 1], volume[8, 1, 1] = 5.0, 4.0, 3.0
    assert table_of(volume, min_distance_mm=8).peaks["z"].tolist() == [5.0, 3.0]
    assert table_of(volume, min_distance_mm=6).peaks["z"].tolist() == [5.0, 4.0, 3.0]


def test_a_removed_peak_removes_no_other():
    volume = np.full((14, 3, 3), 1.0)
    volume[1, 1, 1], volume[4, 1, 1], volume[7, 1, 1] = 5.0, 4.0, 3.0
    assert table_of(volume, min_distance_mm=8).peaks["z"].tolist() == [5.0, 3.0]


def test_values_of_all_maps_are_read_at_the_peak(two_clusters):
    geometry = make_geometry()
    z = two_clusters[geometry.mask]
    table = make_cluster_table({"z": z, "p": np.abs(z) / 10}, np.abs(z) > 0.5, geometry)
    assert table.clusters["p"].tolist() == [0.3, 0.5]


def test_measures_see_the_points_of_their_cluster(two_clusters):
    table = table_of(two_clusters, measures={"tdp": len})
    assert table.clusters["tdp"].tolist() == [27, 8]


def test_nothing_survives_gives_empty_tables_with_all_columns(two_clusters):
    table = table_of(two_clusters, threshold=9, measures={"tdp": len})
    assert len(table.clusters) == len(table.peaks) == 0
    assert {"cluster_id", "peak_x", "z", "tdp"} <= set(table.clusters.columns)
    assert not table.labels.any()


def test_points_outside_the_mask_and_nan_belong_to_no_cluster():
    mask = np.ones((5, 5, 5), bool)
    mask[2] = False
    geometry = Geometry(mask, AFFINE)
    values = np.ones(geometry.n_points)
    values[0] = np.nan
    table = make_cluster_table({"z": values}, np.ones(len(values), bool), geometry)
    assert table.clusters["n_voxels"].tolist() == [50, 49]
    assert table.labels[0] == 0


def test_every_fixed_column_is_described(two_clusters):
    table = table_of(two_clusters)
    assert set(describe_columns(table.clusters)) == set(table.clusters.columns)
    assert set(describe_columns(table.peaks)) <= set(COLUMNS)
    # That of a threshold is described with its table, by the words of the threshold.
    assert not {row.column for row in THRESHOLDS.values()} & set(COLUMNS)


@pytest.fixture(scope="module")
def motor():
    image = load_img(load_sample_motor_activation_image())
    volume = image.get_fdata()
    return image, Geometry(volume != 0, image.affine), volume[volume != 0]


@pytest.fixture(scope="module")
def motor_tables(motor):
    image, geometry, values = motor
    ours = make_cluster_table({"z": values}, np.abs(values) > 4, geometry, connectivity=6)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Attention: At least one of the .sub.peaks falls outside")
        return ours, get_clusters_table(image, 4.0, cluster_threshold=0, two_sided=True)


def test_clusters_of_the_motor_map_are_those_of_nilearn(motor_tables):
    ours, theirs = motor_tables
    sizes = theirs["Cluster Size (mm3)"]
    main = theirs[sizes != ""]
    assert sorted(ours.clusters["volume_mm3"].astype(int)) == sorted(main["Cluster Size (mm3)"].astype(int))
    assert sorted(ours.clusters["z"].round(4)) == sorted(main["Peak Stat"].astype(float).round(4))


def test_unique_highest_points_of_the_motor_map_are_where_nilearn_says(motor_tables, motor):
    ours, theirs = motor_tables
    _, _, values = motor
    main = theirs[theirs["Cluster Size (mm3)"] != ""]
    unique = ours.clusters[[(values == z).sum() == 1 for z in ours.clusters["z"]]]
    assert len(unique) == 5
    assert as_set(unique, ["peak_x", "peak_y", "peak_z"]) <= as_set(main, ["X", "Y", "Z"])


def test_peaks_of_the_motor_map_are_inside_their_cluster_and_apart(motor, motor_tables):
    _, geometry, _ = motor
    table, _ = motor_tables
    labels = geometry.volume(table.labels, fill=0)
    voxels = voxels_of(table.peaks, geometry.affine)
    assert np.array_equal(labels[tuple(voxels.T)], table.peaks["cluster_id"])
    distances = [pair_distance(g[XYZ].to_numpy()) for _, g in table.peaks.groupby("cluster_id")]
    assert min(distances) >= 8


def test_nilearn_lists_peaks_too_near_and_plateaus_below_slopes_and_we_do_not():
    volume = np.zeros((16, 3, 3))
    volume[1:15, 1, 1] = 1.0
    volume[7, 1, 1], volume[2, 1, 1], volume[10, 1, 1] = 5.0, 4.0, 3.0
    image = nib.Nifti1Image(volume, AFFINE)
    theirs = get_clusters_table(image, 0.5, min_distance=8)
    # 5 and 3 are 6 mm apart; the last is a plateau at the foot of a slope.
    assert theirs["Peak Stat"].tolist() == [5.0, 4.0, 3.0, 1.0]
    assert table_of(volume, min_distance_mm=8).peaks["z"].tolist() == [5.0, 4.0]


def test_atlasreader_puts_the_peak_of_a_ring_outside_it():
    ring = make_ring()
    theirs = np.floor(center_of_mass(ring == ring.max())).astype(int)  # its get_peak_coords
    assert ring[tuple(theirs)] == 0
    ours = voxels_of(table_of(ring).peaks, AFFINE)[0]
    assert ring[tuple(ours)] == 1


def test_nilearn_takes_the_weakest_vertex_of_a_negative_cluster_as_its_peak():
    strip = np.array([0, 0, -2.0, -5.0, -3.0, 0, 0, 4.0])
    theirs = get_clusters_table(make_surface(strip), 1.0, two_sided=True)
    assert sorted(theirs["Peak Stat"]) == [-2.0, 4.0]
    volume = np.zeros((8, 3, 3))
    volume[:, 1, 1] = strip
    assert sorted(table_of(volume, 1.0).clusters["z"]) == [-5.0, 4.0]


def make_surface(strip):
    """Return a band of triangles with a map on one edge of the left one."""
    n = len(strip)
    corners = np.array([[x, y, 0.0] for y in (0, 1) for x in range(n)])
    triangles = [t for i in range(n - 1) for t in ([i, i + 1, n + i], [i + 1, n + i + 1, n + i])]
    mesh = InMemoryMesh(corners, np.array(triangles))
    left = np.concatenate([strip, np.zeros(n)])
    return SurfaceImage(PolyMesh(left=mesh, right=mesh), {"left": left, "right": np.zeros(2 * n) - 1e-9})


def as_set(frame, columns):
    return {tuple(row) for row in frame[columns].to_numpy(float)}


def voxels_of(peaks, affine):
    inverse = np.linalg.inv(affine)
    return np.rint(peaks[XYZ].to_numpy() @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)


def pair_distance(points):
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    return distance[np.triu_indices(len(points), 1)].min(initial=np.inf)


def make_ring():
    x, y = np.mgrid[-5:6, -5:6]
    volume = np.zeros((11, 11, 3))
    volume[..., 1] = np.abs(np.hypot(x, y) - 4) < 0.5
    return volume
