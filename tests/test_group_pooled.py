"""Several rows a subject in one model: what is concluded does not assume sphericity."""

import numpy as np
import pytest
from scipy import stats

from bidsapp.errors import SettingsError
from bidsapp.group_pooled import OWN_ERROR, SANDWICH, correct_pooled, pair_with_subjects, require_subjects
from bidsapp.records import Contrast, EffectStack, Geometry, GroupDesign
from bidsapp.stats.group_estimators import fit_group

N_SUBJECTS, N_CELLS, N_VOXELS = 12, 3, 2000
COLUMNS = (*"ABC", *(f"s{k}" for k in range(1, N_SUBJECTS)))
# Two standard errors of a share of .05 in so many voxels.
ERROR = 2 * np.sqrt(0.05 * 0.95 / N_VOXELS)


@pytest.fixture
def cells(rng):
    """Null maps (n_cells, n_subjects, n_voxels) of cells that differ in variance and correlation."""
    mixing = np.array([[0.5, 0, 0], [0.5, 0.87, 0], [0, 1.5, 2.6]])
    return np.einsum("ck,kiv->civ", mixing, rng.standard_normal((N_CELLS, N_SUBJECTS, N_VOXELS)))


@pytest.fixture
def design():
    """Rows are the cells of the first subject, then of the next; the last row of weights is a mean."""
    cell, subject = np.tile(np.arange(N_CELLS), N_SUBJECTS), np.repeat(np.arange(N_SUBJECTS), N_CELLS)
    matrix = np.column_stack(
        [cell[:, None] == np.arange(N_CELLS), subject[:, None] == np.arange(1, N_SUBJECTS)]
    )

    def contrast(name, *rows):
        weights = np.zeros((len(rows), len(COLUMNS)))
        weights[:, :N_CELLS] = rows
        return Contrast(name, "t" if len(rows) == 1 else "F", COLUMNS, weights)

    contrasts = (contrast("AB", [1, -1, 0]), contrast("any", [1, -1, 0], [0, 1, -1]))
    return GroupDesign(matrix.astype(float), contrasts, None, subject)


def rows_of(cells):
    return cells.transpose(1, 0, 2).reshape(-1, cells.shape[2])


def fit(design, effect, tail="two"):
    needed = np.linalg.matrix_rank(design.matrix) + 1
    return correct_pooled(fit_group(effect, None, design, min_inputs=needed, tail=tail), design, effect, tail)


@pytest.mark.parametrize(("tail", "alternative"), [("two", "two-sided"), ("positive", "greater")])
def test_p_of_a_difference_is_the_paired_t_test(cells, design, tail, alternative):
    found = fit(design, rows_of(cells), tail)[0]
    np.testing.assert_allclose(
        found.p, stats.ttest_rel(cells[0], cells[1], alternative=alternative).pvalue, rtol=1e-4
    )
    assert (np.sign(found.z) == np.sign(found.effect)).all()
    assert found.p_from == OWN_ERROR


def test_t_and_f_stay_those_of_the_pooled_model(cells, design):
    effect = rows_of(cells)
    for found, plain in zip(fit(design, effect), fit_group(effect, None, design), strict=True):
        np.testing.assert_array_equal(found.statistic, plain.statistic)


def test_sizes_are_right_without_sphericity(cells, design):
    """Pooled p has .00 to .11 here."""
    plain = fit_group(rows_of(cells), None, design)
    assert all(abs((one.p <= 0.05).mean() - 0.05) > 2 * ERROR for one in plain)
    assert all(abs((one.p <= 0.05).mean() - 0.05) < 1.5 * ERROR for one in fit(design, rows_of(cells)))


def test_p_of_f_is_greenhouse_and_geissers(cells, design):
    found = fit(design, rows_of(cells))[1]
    np.testing.assert_array_equal(found.p, found.maps["pGG"])
    assert ((found.maps["epsilonGG"] >= 0.5 - 1e-6) & (found.maps["epsilonGG"] <= 1 + 1e-6)).all()


def test_a_missing_cell_leaves_the_sandwich(cells, design):
    cells[2, 3, 100:] = np.nan
    effect = rows_of(cells)
    found = fit(design, effect)[1]
    assert OWN_ERROR in found.p_from
    assert SANDWICH in found.p_from
    rank = np.linalg.matrix_rank(design.matrix)
    robust = fit_group(effect, None, design, estimator="sandwich", min_inputs=rank + 1)[1]
    np.testing.assert_allclose(found.p[100:], robust.p[100:])
    np.testing.assert_array_equal(found.p[:100], found.maps["pGG"][:100])
    assert np.isnan(found.maps["pGG"][100:]).all()


def test_effects_between_subjects_have_the_sandwich(rng):
    """Two groups of subjects, no column a subject: rows are not subjects."""
    person = rng.standard_normal((16, N_VOXELS))
    effect = (person[:, None] + 0.5 * rng.standard_normal((16, 3, N_VOXELS))).reshape(48, -1)
    group = np.repeat([0, 1], 24)[:, None] == np.arange(2)
    contrast = Contrast("ab", "t", ("a", "b"), np.array([[1.0, -1.0]]))
    design = GroupDesign(group.astype(float), (contrast,), None, np.repeat(np.arange(16), 3))
    assert (fit_group(effect, None, design)[0].p <= 0.05).mean() > 0.2
    found = fit(design, effect)[0]
    assert abs((found.p <= 0.05).mean() - 0.05) < 1.5 * ERROR
    data, same, _ = pair_with_subjects(design, contrast, effect)
    assert data is effect
    assert same is design


def test_one_map_a_subject_is_shuffled(cells, design):
    data, between, contrast = pair_with_subjects(design, design.contrasts[0], rows_of(cells))
    np.testing.assert_allclose(data, (cells[0] - cells[1]) / np.sqrt(2), atol=1e-5)
    np.testing.assert_array_equal(between.matrix, np.ones((N_SUBJECTS, 1)))
    assert contrast.test == "t"
    data, *_ = pair_with_subjects(design, design.contrasts[1], rows_of(cells))
    assert data.shape == (N_SUBJECTS, 2, N_VOXELS)


def test_subjects_that_are_not_alike_are_not_shuffled(cells, design):
    matrix, weights = design.matrix[1:], design.contrasts[0].weights
    less = GroupDesign(matrix, design.contrasts, None, design.clusters[1:])
    with pytest.raises(SettingsError, match="partitioned"):
        pair_with_subjects(less, Contrast("AB", "t", COLUMNS, weights), rows_of(cells)[1:])


def test_voxels_need_subjects_not_maps(cells, design):
    """Nine maps of three whole subjects are not eight subjects."""
    cells[:, 3:, :10] = np.nan
    cells[0, 4:, 10:20] = np.nan
    stack = EffectStack(
        labels=tuple(f"sub-{k}" for k in design.clusters),
        effect=rows_of(cells),
        variance=None,
        dof=np.full(len(design.clusters), 50.0),
        geometry=Geometry(np.ones((N_VOXELS, 1, 1), bool), np.eye(4)),
        coverage=np.full((N_VOXELS, 1, 1), 36),
    )
    kept = require_subjects(stack, design, "8").effect
    assert np.isnan(kept[:, :20]).all()
    assert np.isfinite(kept[:, 20:]).all()
    assert np.isfinite(require_subjects(stack, design, "4").effect[:6, 10:20]).any()
