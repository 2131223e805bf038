"""Random-field theory against SPM's values."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage, special

from bidsapp.inference.field_theory import (
    cluster_p,
    count_resels,
    ec_densities,
    estimate_smoothness,
    expected_clusters,
)
from bidsapp.records.maps import Geometry

TABLE = Path(__file__).parents[1] / "reference" / "tables" / "random_field_spm.csv"
# The table's search volume; its Ec column gives these resel counts back by least squares.
RESELS = np.array([1.0, 16.7, 74.9, 90.3])
# SPM adds the machine epsilon to Ec and takes tails as 1 - cdf.
TOLERANCE = 6e-5


@pytest.fixture(scope="module")
def table():
    with TABLE.open() as file:
        rows = [row for row in csv.DictReader(file) if row["STAT"] != "X"]
    names = {"Z": "z", "T": "t", "F": "F"}
    return [
        (
            names[r["STAT"]],
            (float(r["df1"]), float(r["df2"])),
            {k: float(v) for k, v in r.items() if k != "STAT"},
        )
        for r in rows
    ]


def test_expected_clusters_equal_spm(table):
    ours = [expected_clusters(row["u"], test, dof, RESELS) for test, dof, row in table]
    np.testing.assert_allclose(ours, [row["Ec"] for *_, row in table], rtol=1e-7)


def test_cluster_p_equals_spm(table):
    ours = [cluster_p(row["k"], row["u"], test, dof, RESELS)[0] for test, dof, row in table if test != "F"]
    spm = [row["p"] for test, _, row in table if test != "F"]
    np.testing.assert_allclose(ours, spm, rtol=TOLERANCE, atol=1e-15)


def test_f_of_one_row_is_two_t_tails():
    t, f = ec_densities(3.0, "t", (1, 12)), ec_densities(9.0, "F", (1, 12))
    np.testing.assert_allclose(f, 2 * t, rtol=1e-10)


def test_resels_of_a_box():
    resels = count_resels(np.ones((11, 21, 31), bool), [2.0, 4.0, 5.0])
    sides = np.array([10 / 2, 20 / 4, 30 / 5])
    expected = [1, sides.sum(), sides[0] * sides[1] + sides[0] * sides[2] + sides[1] * sides[2], sides.prod()]
    np.testing.assert_allclose(resels, expected)


def test_smoothness_of_smoothed_noise_is_found(rng):
    geometry = Geometry(np.ones((40, 40, 40), bool), np.eye(4))
    noise = np.array([ndimage.gaussian_filter(rng.normal(size=(40, 40, 40)), 2.5).ravel() for _ in range(12)])
    fwhm = estimate_smoothness(noise, np.ones((12, 1)), geometry, 11).fwhm_voxels
    np.testing.assert_allclose(fwhm, 2.5 * 2.355, rtol=0.05)


def test_points_without_all_subjects_leave_the_smoothness_as_it_is(rng):
    geometry = Geometry(np.ones((30, 30, 30), bool), np.eye(4))
    noise = np.array([ndimage.gaussian_filter(rng.normal(size=(30, 30, 30)), 2.5).ravel() for _ in range(12)])
    noise[3, ::7] = np.nan
    fwhm = estimate_smoothness(noise, np.ones((12, 1)), geometry, 11).fwhm_voxels
    np.testing.assert_allclose(fwhm, 2.5 * 2.355, rtol=0.1)


def test_densities_of_f_have_a_limit_at_zero():
    for k in (1, 2, 3):
        np.testing.assert_allclose(
            ec_densities(0.0, "F", (k, 12)), ec_densities(1e-9, "F", (k, 12)), atol=1e-3
        )


@pytest.mark.parametrize("unit", [1e-12, 1e-10, 1e10])
def test_smoothness_does_not_depend_on_the_unit_of_a_covariate(rng, unit):
    covariate = rng.standard_normal(14)
    noise = ndimage.gaussian_filter(rng.standard_normal((14, 10, 10, 8)), (0, 1.3, 1.3, 1.3))
    effects = (noise / noise.std()).reshape(14, -1) + 6 * np.outer(covariate, rng.standard_normal(800))
    geometry = Geometry(np.ones((10, 10, 8), bool), np.eye(4))
    found = [
        estimate_smoothness(effects, np.column_stack([np.ones(14), covariate * scale]), geometry, 12)
        for scale in (1.0, unit)
    ]
    np.testing.assert_allclose(found[0].fwhm_voxels, found[1].fwhm_voxels, rtol=1e-9)


def lattice_of(mask):
    """Return the numbers of points, edges, faces and cubes of a mask by their axes, one by one."""
    inside = {tuple(point) for point in np.argwhere(mask)}
    counts = dict.fromkeys([(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], 0)
    for axes in counts:
        steps = np.array(list(itertools.product(*([0, 1] if a in axes else [0] for a in range(3)))))
        counts[axes] = sum(all(tuple(c) in inside for c in steps + np.array(p)) for p in inside)
    return counts


@pytest.mark.parametrize("shape", [(5, 4, 6), (7, 5, 1), (1, 1, 6)])
def test_resels_of_any_mask_are_those_of_its_lattice(rng, shape):
    mask, fwhm = rng.random(shape) < 0.7, np.array([2.0, 3.0, 5.0])
    n = lattice_of(mask)
    euler = n[()] - n[0,] - n[1,] - n[2,] + n[0, 1] + n[0, 2] + n[1, 2] - n[0, 1, 2]
    pairs = {0: ((0, 1), (0, 2)), 1: ((0, 1), (1, 2)), 2: ((0, 2), (1, 2))}
    one = sum((n[a,] - n[b] - n[c] + n[0, 1, 2]) / fwhm[a] for a, (b, c) in pairs.items())
    two = sum((n[a, b] - n[0, 1, 2]) / fwhm[a] / fwhm[b] for a, b in ((0, 1), (0, 2), (1, 2)))
    expected = [euler, one, two, n[0, 1, 2] / fwhm.prod()]
    np.testing.assert_allclose(count_resels(mask, fwhm), expected, rtol=1e-12, atol=1e-12)


def test_smoothness_is_its_formula(rng):
    """Mean squares of differences of neighbours, of residuals of length 1 (Kiebel 1999)."""
    mask = rng.random((6, 5, 4)) < 0.9
    geometry = Geometry(mask, np.eye(4))
    effects = rng.normal(size=(9, geometry.n_points))
    matrix = np.column_stack([np.ones(9), np.arange(9.0)])
    residuals = effects - matrix @ np.linalg.pinv(matrix) @ effects
    unit = residuals / np.linalg.norm(residuals, axis=0)
    volumes = np.full((9, *mask.shape), np.nan)
    volumes[:, mask] = unit
    variances = [np.nanmean(np.square(np.diff(volumes, axis=a + 1)), axis=(1, 2, 3)).sum() for a in range(3)]
    found = estimate_smoothness(effects, matrix, geometry, 7)
    fwhm = np.sqrt(4 * np.log(2) / (np.array(variances) * 5 / 6))
    np.testing.assert_allclose(found.fwhm_voxels, fwhm, rtol=1e-10)
    np.testing.assert_allclose(found.resels, count_resels(mask, fwhm), rtol=1e-10)
    effects[:, 3] = 2.0
    assert np.isfinite(estimate_smoothness(effects, matrix, geometry, 2).fwhm_voxels).all()
    flat = estimate_smoothness(np.ones((9, geometry.n_points)), np.ones((9, 1)), geometry, 8)
    np.testing.assert_array_equal(flat.fwhm_voxels, 1.0)


def test_corrected_p_of_a_cluster_is_that_of_one_in_spms_volume(table):
    """SPM's set level of one cluster of a size or larger; and its formula for each number of dimensions."""
    chosen = [(test, dof, row) for test, dof, row in table if row["c"] == 1]
    ours = [cluster_p(row["k"], row["u"], test, dof, RESELS)[1] for test, dof, row in chosen]
    np.testing.assert_allclose(ours, [row["P"] for *_, row in chosen], rtol=TOLERANCE, atol=1e-9)
    for dimension in (1, 2, 3):
        resels = np.where(np.arange(4) <= dimension, RESELS, 0.0)
        density, size = ec_densities(3.5, "z", None), 0.3
        beta = (special.gamma(dimension / 2 + 1) * density[dimension] / density[0]) ** (2 / dimension)
        uncorrected = np.exp(-beta * size ** (2 / dimension))
        found = cluster_p(size, 3.5, "z", None, resels)
        np.testing.assert_allclose(
            found, [uncorrected, 1 - np.exp(-resels @ density * uncorrected)], rtol=1e-9
        )


def test_smoothness_at_two_degrees_of_freedom_is_not_corrected(rng):
    geometry = Geometry(np.ones((6, 5, 4), bool), np.eye(4))
    effects = ndimage.gaussian_filter(rng.normal(size=(9, 6, 5, 4)), (0, 1, 1, 1)).reshape(9, -1)
    found = {
        dof: estimate_smoothness(effects, np.ones((9, 1)), geometry, dof).fwhm_voxels for dof in (2, 3, 8)
    }
    np.testing.assert_allclose(found[3], found[2] * np.sqrt(2 / 1), rtol=1e-9)
    np.testing.assert_allclose(found[8], found[2] * np.sqrt(7 / 6), rtol=1e-9)
