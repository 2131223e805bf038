"""Group tests of regions."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from effect_maps import AFFINE, run_group, write_effect_maps

from bidsapp.errors import EXIT_OK
from bidsapp.group import stage
from bidsapp.group.fit import refit
from bidsapp.group.regions import average_data, describe_regions
from bidsapp.group.within import fit_vectors
from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.estimators import fit_group

REGIONS = SimpleNamespace(names=["left", "right"], members=[[0], [1, 2]])


def table(means, estimator, groups=None):
    contrast = Contrast("mean", "t", ("1",), np.ones((1, 1)))
    design = GroupDesign(np.ones((len(means), 1)), (contrast,), groups, np.arange(len(means)))
    fitted = SimpleNamespace(estimator=estimator, design=design, tests=())
    return describe_regions(REGIONS, refit(fitted, means, None, "two")[0])


def test_g_of_a_region_counts_the_subjects_that_it_has(rng):
    means = rng.normal(0.5, 1, (12, 2))
    alone = table(means[:6], "ols")
    means[6:, 1] = np.nan
    np.testing.assert_allclose(
        table(means, "ols").loc[1, ["g", "g_low", "g_high"]].astype(float),
        alone.loc[1, ["g", "g_low", "g_high"]].astype(float),
        rtol=1e-9,
    )


@pytest.mark.parametrize("estimator", ["huber", "sandwich"])
def test_a_t_without_one_residual_variance_has_no_g(estimator, rng):
    assert table(rng.normal(0.5, 1, (12, 2)), estimator)[["g", "g_low", "g_high"]].isna().all(axis=None)


def test_a_t_of_variance_groups_has_no_g(rng):
    found = table(rng.normal(0.5, 1, (12, 2)), "ols", np.repeat([1, 2], 6))
    assert found[["g", "g_low", "g_high"]].isna().all(axis=None)


@pytest.mark.parametrize("estimator", ["reml", "flame1", "dl", "fixed"])
def test_region_of_one_voxel_is_that_voxel(estimator, rng):
    effect, variance = rng.normal(0.8, 1, (10, 3)), rng.uniform(0.05, 4, (10, 3))
    contrast = Contrast("mean", "t", ("1",), np.ones((1, 1)))
    design = GroupDesign(np.ones((10, 1)), (contrast,), None, np.arange(10))
    fitted = SimpleNamespace(
        estimator=estimator,
        design=design,
        scores=None,
        tests=(),
        stack=SimpleNamespace(effect=effect, variance=variance),
    )
    data = average_data(fitted, REGIONS)
    found = refit(fitted, data.effects, data.variances, "two")[0]
    (voxels,) = fit_group(effect, variance, design, estimator=estimator)
    for name in ("effect", "variance", "statistic", "dof", "p"):
        assert getattr(found, name)[0] == pytest.approx(getattr(voxels, name)[0], rel=1e-10)


def test_errors_of_a_region_are_taken_as_the_same_everywhere(rng):
    """Voxels with one error of standard deviation 1 and 3 have a mean of standard deviation 2."""
    stack = SimpleNamespace(effect=rng.normal(0, 1, (8, 3)), variance=np.tile([5.0, 1.0, 9.0], (8, 1)))
    data = average_data(SimpleNamespace(estimator="reml", scores=None, stack=stack), REGIONS)
    np.testing.assert_allclose(data.variances, np.tile([5.0, 4.0], (8, 1)))


def test_several_rows_within_subjects_are_tested_in_regions(rng):
    """A region of one voxel has the F of that voxel, and lacks the subjects that have no data there."""
    scores = rng.normal(0.3, 1, (12, 2, 3))
    scores[0, :, 1:] = np.nan
    contrast = Contrast("mean", "t", ("1",), np.ones((1, 1)))
    design = GroupDesign(np.ones((12, 1)), (contrast,))
    fitted = SimpleNamespace(estimator="ols", design=design, scores=scores, stack=None, tests=())
    data = average_data(fitted, REGIONS)
    found = refit(fitted, data.effects, data.variances, "two")[0]
    (voxels,) = fit_vectors(scores.transpose(1, 0, 2), design, 12)
    assert found.statistic[0] == pytest.approx(voxels.statistic[0], rel=1e-10)
    np.testing.assert_array_equal(found.maps["n"], [12, 11])
    assert np.isfinite(found.statistic).all()


def test_regions_of_tests_of_several_scores_have_the_effects_of_every_cell(tmp_path, rng, monkeypatch):
    """The scores that are tested together say nothing to a reader; the cells do."""
    monkeypatch.setattr(stage, "write_group_report", lambda *words, **more: None)
    monkeypatch.setattr(stage, "write_overview", lambda *words, **more: None)
    effects = {name: rng.standard_normal((6, 5, 5, 4)) for name in "ABC"}
    maps = write_effect_maps(tmp_path / "maps", effects, {"age": range(6)})
    labels = np.ones((5, 5, 4), np.int16)
    labels[3:] = 2
    nib.save(nib.Nifti1Image(labels, AFFINE), tmp_path / "two.nii.gz")
    design = ["--group-design", "repeated-measures", "cell=A,B,C", "--roi", tmp_path / "two.nii.gz"]
    run = run_group(maps, tmp_path / "out", *design)
    assert run.code == EXIT_OK
    by_contrast = {one["contrast"]: run.folder / one["table"] for one in run.record["regions"]}
    table = pd.read_csv(by_contrast["cell"], sep="\t")
    for name, values in effects.items():
        for subject in range(6):
            found = table[f"sub-{subject + 1:02d} {name}"]
            assert found.tolist() == pytest.approx([values[subject, :3].mean(), values[subject, 3:].mean()])
