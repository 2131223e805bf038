"""Mixed effects of 21 studies with partial coverage, next to PyMARE; see ../reference/maps/README.md."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from makers.brain import describe, save_image

from bidsapp.cli import main as cli

# PyMARE's optimiser (L-BFGS with numerical gradients) stops when tau2 still moves in this digit; the
# restricted likelihood of our tau2 is never below that of PyMARE's (tested).
OPTIMISER = 1e-4
N_VOXELS = 50
MAPS = Path(__file__).parents[1] / "reference" / "maps" / "pain.npz"


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Return a derivative dataset of the maps of all studies."""
    folder, kept = tmp_path_factory.mktemp("studies"), np.load(MAPS)
    describe(folder, "derivative")
    for stat in ("effect", "variance"):
        for number, values in enumerate(kept[stat], start=1):
            volume = np.full(kept["shape"], np.nan, np.float32)
            volume[tuple(kept["places"].T)] = values
            name = f"sub-{number:02d}_contrast-pain_stat-{stat}_statmap.nii.gz"
            save_image(nib.Nifti1Image(volume, kept["affine"]), folder / f"sub-{number:02d}" / name)
    return folder


@pytest.fixture(scope="module")
def pain(studies, tmp_path_factory):
    """Return the output of the app: voxels that 15 of the 21 studies cover."""
    data, output = studies, tmp_path_factory.mktemp("pain")
    words = ["--group-design", "one-sample", "--group-estimator", "reml", "--min-subjects", "15"]
    assert cli.main([str(data), str(output), "group", "--estimates", str(data), *words]) == 0
    return {
        stat: nib.load(next((output / "group").glob(f"*_stat-{stat}_statmap.nii.gz")))
        for stat in ("t", "effect", "variance", "tau2", "n", "dof")
    }


@pytest.fixture(scope="module")
def chosen(pain, studies):
    """Return 50 voxels, those without all studies among them: positions, effects and variances."""
    maps = {
        stat: [nib.load(p).get_fdata() for p in sorted(studies.glob(f"sub-*/*_stat-{stat}_statmap.nii.gz"))]
        for stat in ("effect", "variance")
    }
    rng = np.random.default_rng(0)
    n = pain["n"].get_fdata()
    partial, full = np.argwhere(n < 21), np.argwhere(n == 21)
    half = N_VOXELS // 2
    places = np.concatenate([rng.permutation(partial)[:half], rng.permutation(full)[:half]])
    return [(place, *values_at(maps, place)) for place in map(tuple, places)]


def values_at(maps, place):
    """Return effects and variances of the studies that have both in a voxel."""
    effect, variance = (np.array([volume[place] for volume in maps[stat]]) for stat in ("effect", "variance"))
    there = np.isfinite(effect) & np.isfinite(variance) & (variance > 0)
    return effect[there], variance[there]


def deviance(tau2, y, s):
    w = 1 / (s + tau2)
    mean = (w * y).sum() / w.sum()
    return -np.log(w).sum() + np.log(w.sum()) + (w * (y - mean) ** 2).sum()


def test_voxels_that_fewer_studies_cover_are_left_out(pain):
    kept = np.load(MAPS)
    n = (np.isfinite(kept["effect"]) & (kept["variance"] > 0)).sum(axis=0)
    fitted = np.isfinite(pain["effect"].get_fdata()[tuple(kept["places"].T)])
    assert 0 < fitted.sum() < len(fitted)
    np.testing.assert_array_equal(fitted, n >= 15)


def test_voxels_are_fitted_with_the_studies_that_cover_them(pain, chosen):
    n, dof = pain["n"].get_fdata(), pain["dof"].get_fdata()
    for place, y, _ in chosen:
        assert n[place] == len(y) >= 15
        assert dof[place] == len(y) - 1


def test_tau2_and_effect_equal_pymare(pain, chosen, pymare):
    tau2, mean = pain["tau2"].get_fdata(), pain["effect"].get_fdata()
    for place, y, s in chosen:
        peer = pymare.estimators.VarianceBasedLikelihoodEstimator(method="REML")
        found = peer.fit_dataset(pymare.Dataset(y[:, None], s[:, None], add_intercept=True)).summary()
        theirs = float(np.ravel(found.tau2)[0])
        typical = s.mean()
        assert deviance(tau2[place], y, s) <= deviance(theirs, y, s) + 1e-6
        assert abs(tau2[place] - theirs) <= OPTIMISER * (typical + theirs)
        assert mean[place] == pytest.approx(
            float(np.ravel(found.fe_params)[0]), abs=OPTIMISER * np.sqrt(typical)
        )


def test_knapp_hartung_standard_error_is_the_formula(pain, chosen):
    tau2, found = pain["tau2"].get_fdata(), pain["variance"].get_fdata()
    for place, y, s in chosen:
        w = 1 / (s + tau2[place])
        mean = (w * y).sum() / w.sum()
        expected = (w * (y - mean) ** 2).sum() / (len(y) - 1) / w.sum()
        assert found[place] == pytest.approx(expected, rel=1e-4)


def test_posterior_insula_is_active(pain):
    image = pain["t"]
    voxel = np.rint(np.linalg.inv(image.affine) @ [32, -16, 14, 1])[:3].astype(int)
    assert image.get_fdata()[tuple(voxel)] > 5
