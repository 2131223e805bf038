"""Designs within subjects, with and without groups, from effect maps to p-values."""

import numpy as np
import pytest
from effect_maps import run_group, write_effect_maps
from oracles import wilks
from scipy import stats

SHAPE = (3, 3, 2)
CONDITIONS = ("--group-design", "repeated-measures", "cond=A,B,C")
DIFFERENCES = np.array([[1.0, -1, 0], [0, 1, -1]])
GROUPS = ["a"] * 5 + ["b"] * 6 + ["c"] * 7


@pytest.fixture(scope="module")
def cells():
    """Three conditions of 18 subjects; nobody of group c at the first voxel, five subjects at the second."""
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(3, 18, *SHAPE)).astype(np.float32)
    cells[:, 11:, 0, 0, 0] = np.nan
    cells[:, [2, 3, 4, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17], 1, 0, 0] = np.nan
    cells[0, 12, 2, 0, 0] = np.nan
    return cells


@pytest.fixture(scope="module")
def three_groups(cells, tmp_path_factory):
    """The run of three groups with all subjects that a voxel has."""
    folder = tmp_path_factory.mktemp("groups")
    maps = write_effect_maps(
        folder / "maps",
        dict(zip("ABC", cells, strict=True)),
        {"group": GROUPS, "age": [30] * 11 + [*range(7)]},
    )
    words = (*CONDITIONS, "anova", "group", "covariate", "age", "--min-subjects", 2, "--statistics", "height")
    return run_group(maps, folder / "out", *words, shuffles=100)


def scores_at(cells, voxel):
    return np.einsum("rc,ci->ir", DIFFERENCES, cells[:, :, *voxel].astype(float))


def design_of(kept):
    age = np.array([30.0] * 11 + [*range(7)])
    return np.column_stack([np.array(GROUPS)[:, None] == ["a", "b", "c"], age - age.mean()]).astype(float)[
        kept
    ]


@pytest.mark.parametrize("voxel", [(2, 2, 1), (2, 0, 0)], ids=["everybody", "17 subjects"])
def test_interaction_of_three_groups_tests_all_of_them(three_groups, cells, voxel):
    scores = scores_at(cells, voxel)
    kept = np.isfinite(scores).all(axis=1)
    f, dof = wilks(scores[kept], design_of(kept), [[1, -1, 0, 0], [0, 1, -1, 0]])
    assert three_groups.map("contrast-condGroup_stat-F")[voxel] == pytest.approx(f, rel=1e-5)
    assert three_groups.map("contrast-condGroup_stat-p")[voxel] == pytest.approx(
        stats.f.sf(f, *dof), rel=1e-4
    )


def test_every_contrast_of_rows_within_is_shuffled(three_groups):
    assert three_groups.code == 0
    entries = {entry["name"]: entry for entry in three_groups.record["contrasts"]}
    assert entries["cond group"]["permutation"]["statistic"] == "Wilks' lambda, as Rao's F"
    assert all(entry["permutation"]["n_shuffles"] == 100 for entry in entries.values())


@pytest.mark.parametrize("name", ["condGroup", "condBVsC", "condGroupC", "condAge"])
def test_contrast_that_the_subjects_of_a_voxel_cannot_estimate_is_nan(three_groups, name):
    """Nobody of group c, and one age only, in the first voxel."""
    p = three_groups.map(f"contrast-{name}_stat-p")
    assert np.isnan(p[0, 0, 0])
    assert np.isfinite(p[2, 2, 1])


def test_contrast_of_groups_that_are_there_is_estimated(three_groups, cells):
    scores = scores_at(cells, (0, 0, 0))[:11]
    f, dof = wilks(scores, design_of(slice(11))[:, :2], [[1, -1]])
    p = three_groups.map("contrast-condAVsB_stat-p")[0, 0, 0]
    assert p == pytest.approx(stats.f.sf(f, *dof), rel=1e-4)


@pytest.mark.parametrize("name", ["condGroup", "condAVsB", "condGroupA"])
def test_fewer_subjects_than_rows_are_nan_in_that_voxel_alone(three_groups, name):
    p = three_groups.map(f"contrast-{name}_stat-p")
    assert np.isnan(p[1, 0, 0])
