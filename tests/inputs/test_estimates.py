"""Effect and variance maps of subjects, found and read as one stack."""

import json

import nibabel as nib
import numpy as np
import pytest

from bidsapp.errors import InputError, SettingsError
from bidsapp.inputs.estimates import find_estimates
from bidsapp.inputs.images import stacks
from bidsapp.inputs.images.stacks import read_stack
from bidsapp.settings.parts import Selection

SHAPE = (4, 5, 6)


def save(path, values, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.asarray(values, np.float32), np.eye(4) if affine is None else affine), path)


def find(folder, **selection):
    return find_estimates(Selection(estimates=(str(folder),), **selection), folder, folder / "out")


@pytest.fixture
def maps(tmp_path, rng):
    for subject in ("01", "02", "10"):
        stem = f"sub-{subject}/func/sub-{subject}_task-x_space-MNI152NLin6Asym_contrast-aMinusB_stat"
        save(tmp_path / f"{stem}-effect_statmap.nii.gz", rng.standard_normal(SHAPE))
        save(tmp_path / f"{stem}-variance_statmap.nii.gz", rng.random(SHAPE) + 0.1)
        sidecar = {"ContrastName": "a - b", "NodeName": "subject level", "NodeLevel": "Subject"}
        (tmp_path / f"{stem}-effect_statmap.json").write_text(json.dumps(sidecar | {"DegreesOfFreedom": 50}))
    return tmp_path


def path_of(maps, subject, stat="effect"):
    return next(maps.glob(f"sub-{subject}/func/*stat-{stat}_statmap.nii.gz"))


def test_sidecars_name_the_estimate(maps):
    first = find(maps)[0]
    assert (first.key.contrast, first.key.node, first.key.level) == ("a - b", "subject level", "subject")
    assert first.dof == 50


def test_subjects_are_in_natural_order(maps):
    assert [file.key.entity("sub") for file in find(maps)] == ["01", "02", "10"]


def test_group_maps_are_not_inputs(maps):
    save(
        maps / "group/task-x_space-MNI152NLin6Asym_contrast-aMinusB_stat-effect_statmap.nii.gz",
        np.ones(SHAPE),
    )
    assert len(find(maps)) == 3


def test_fitlins_folders_name_the_node(tmp_path):
    name = "node-subjectLevel/sub-01/sub-01_contrast-a_stat-effect_statmap.nii.gz"
    save(tmp_path / name, np.ones(SHAPE))
    assert find(tmp_path)[0].key.node == "subjectLevel"


def test_other_names_are_found_with_a_filter_file(tmp_path):
    for suffix, value in (("effect", 2.0), ("variance", 3.0)):
        save(tmp_path / f"sub-01/sub-01_desc-famous_{suffix}.nii.gz", np.full(SHAPE, value))
    filters = tmp_path / "filter.json"
    filters.write_text(json.dumps({"effect": {"suffix": "effect"}, "variance": {"suffix": "variance"}}))
    files = find(tmp_path, bids_filter_file=filters)
    stack = read_stack(files)
    assert files[0].key.contrast == "famous"
    assert (stack.effect[0, 0], stack.variance[0, 0]) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("contrast-a_desc-b_label-c_effect", "a"),
        ("desc-b_label-c_effect", "b"),
        ("label-c_effect", "c"),
        ("effect", "effect"),
    ],
)
def test_the_contrast_is_named_by_the_sidecar_or_the_first_of_these_entities(tmp_path, name, contrast):
    save(tmp_path / f"sub-01/sub-01_{name}.nii.gz", np.ones(SHAPE))
    (tmp_path / "filter.json").write_text(json.dumps({"effect": {"suffix": "effect"}}))
    assert find(tmp_path, bids_filter_file=tmp_path / "filter.json")[0].key.contrast == contrast
    (tmp_path / f"sub-01/sub-01_{name}.json").write_text('{"ContrastName": "x - y"}')
    assert find(tmp_path, bids_filter_file=tmp_path / "filter.json")[0].key.contrast == "x - y"


def test_degrees_of_freedom_are_those_of_the_sidecar_else_the_median_of_their_map(maps):
    for subject, text in (("01", '{"DegreesOfFreedom": true}'), ("02", "{}")):
        path_of(maps, subject).with_suffix("").with_suffix(".json").write_text(text)
    dof = np.zeros(SHAPE)
    dof[0, 0, :4] = 10, 20, 1000, np.nan
    for subject in ("01", "10"):
        path = path_of(maps, subject)
        save(path.with_name(path.name.replace("effect", "dof")), dof)
    np.testing.assert_array_equal(read_stack(find(maps)).dof, [20, np.nan, 50])


def test_stack_holds_the_values_of_every_file(maps):
    files = find(maps)
    stack = read_stack(files)
    expected = [nib.load(file.effect).get_fdata().ravel() for file in files]
    np.testing.assert_allclose(stack.effect, expected, rtol=1e-6)
    np.testing.assert_array_equal(stack.dof, [50, 50, 50])


def test_values_are_the_same_when_inputs_are_put_together(maps, monkeypatch):
    path_of(maps, "02", "variance").unlink()
    files = find(maps)
    before = read_stack(files)
    monkeypatch.setattr(stacks, "TOGETHER", 2)
    after = read_stack(files)
    np.testing.assert_array_equal(after.effect, before.effect)
    np.testing.assert_array_equal(after.variance, before.variance)


def test_effect_and_variance_on_another_grid_are_resampled_when_asked(maps):
    before = read_stack(find(maps))
    shifted = np.eye(4)
    shifted[:3, 3] = -1
    for stat in ("effect", "variance"):
        path = path_of(maps, "10", stat)
        save(path, np.pad(nib.load(path).get_fdata(), 1), shifted)
    after = read_stack(find(maps), resample=True)
    np.testing.assert_allclose(after.effect, before.effect, rtol=1e-5)
    np.testing.assert_allclose(after.variance, before.variance, rtol=1e-5)


@pytest.mark.parametrize("stat", ["effect", "variance"])
def test_map_with_axes_of_length_one_is_read_and_a_series_is_refused_by_name(maps, stat):
    before, path = read_stack(find(maps)), path_of(maps, "02", stat)
    values = nib.load(path).get_fdata()
    save(path, values[..., None])
    after = read_stack(find(maps))
    np.testing.assert_array_equal(after.effect, before.effect)
    np.testing.assert_array_equal(after.variance, before.variance)
    save(path, np.stack([values] * 3, axis=-1))
    with pytest.raises(InputError, match=rf"sub-02: {path} holds 3 volumes where one is needed"):
        read_stack(find(maps))


def test_geometry_is_the_intersection_and_coverage_counts_the_inputs(maps):
    values = np.ones(SHAPE)
    values[0, 0, :3] = np.nan
    save(path_of(maps, "02"), values)
    stack = read_stack(find(maps))
    assert stack.geometry.n_points == np.prod(SHAPE) - 3
    np.testing.assert_array_equal(stack.coverage[0, 0], [2, 2, 2, 3, 3, 3])


def test_smaller_share_keeps_voxels_that_some_inputs_lack_as_nan(maps):
    values = np.ones(SHAPE)
    values[0, 0, :3] = np.nan
    save(path_of(maps, "02"), values)
    stack = read_stack(find(maps), minimum_share=0.6)
    np.testing.assert_array_equal(np.isnan(stack.effect).sum(axis=1), [0, 3, 0])


def test_zero_effect_without_variance_is_no_data(tmp_path):
    values = np.ones(SHAPE)
    values[1] = 0
    save(tmp_path / "sub-01/sub-01_contrast-a_stat-effect_statmap.nii.gz", values)
    assert read_stack(find(tmp_path)).geometry.n_points == np.prod(SHAPE) - 30


def test_zero_effect_beside_a_variance_of_zero_is_no_data(maps):
    values, variance = np.ones(SHAPE), np.ones(SHAPE)
    values[1] = variance[1:3] = 0
    save(path_of(maps, "01"), values)
    save(path_of(maps, "01", "variance"), variance)
    assert read_stack(find(maps)).geometry.n_points == np.prod(SHAPE) - 30


def test_zero_effect_with_positive_variance_is_data(maps):
    save(path_of(maps, "01"), np.zeros(SHAPE))
    assert read_stack(find(maps)).geometry.n_points == np.prod(SHAPE)


def test_variance_that_is_not_positive_is_unknown(maps):
    values = np.ones(SHAPE)
    values[0, 0] = [0, -1, np.inf, np.nan, 1, 1]
    save(path_of(maps, "01", "variance"), values)
    stack = read_stack(find(maps))
    np.testing.assert_array_equal(np.isnan(stack.variance[0, :6]), [1, 1, 1, 1, 0, 0])


def test_stack_without_variance_maps_has_none(maps):
    for path in maps.rglob("*variance*"):
        path.unlink()
    assert read_stack(find(maps)).variance is None


def test_map_on_another_grid_is_named(maps):
    for stat in ("effect", "variance"):
        save(path_of(maps, "10", stat), np.ones((4, 5, 7)))
    with pytest.raises(InputError, match=r"sub-10_.*another grid.*4 x 5 x 7 voxels instead of 4 x 5 x 6"):
        read_stack(find(maps))


@pytest.mark.parametrize(("shift", "refused"), [(1e-4, False), (0.5, True)])
def test_map_that_is_shifted_is_named(maps, shift, refused):
    affine = np.eye(4)
    affine[1, 3] = shift
    for stat in ("effect", "variance"):
        save(path_of(maps, "10", stat), np.ones(SHAPE), affine)
    if refused:
        with pytest.raises(InputError, match=r"sub-10_.*another grid.*positions differ by up to 0\.5 mm"):
            read_stack(find(maps))
    else:
        assert read_stack(find(maps)).effect.shape == (3, np.prod(SHAPE))


@pytest.mark.parametrize("own", [True, False])
def test_damaged_sidecar_is_named_with_what_makes_it_again(maps, own):
    path = path_of(maps, "02").with_suffix("").with_suffix(".json")
    path.write_text("{")
    with pytest.raises(InputError, match=rf"{path.name} is not valid JSON") as caught:
        find_estimates(Selection(), maps, maps) if own else find(maps)
    assert ("makes damaged maps again" in str(caught.value)) == own


def test_variance_on_another_grid_than_its_effect_is_named(maps):
    save(path_of(maps, "10", "variance"), np.ones((4, 5, 7)))
    with pytest.raises(InputError, match=r"sub-10_.*stat-variance.*another grid than its effect map"):
        read_stack(find(maps))


def test_truncated_map_is_named(maps):
    path = path_of(maps, "10")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"sub-10_.*truncated or corrupt"):
        read_stack(find(maps))


def test_map_without_data_is_named(maps):
    save(path_of(maps, "10"), np.full(SHAPE, np.nan))
    with pytest.raises(InputError, match=r"sub-10_.*every voxel is 0 or NaN"):
        read_stack(find(maps))


def test_inputs_without_a_common_voxel_are_refused(maps):
    values = np.full(SHAPE, np.nan)
    values[0, 0, 0] = 1
    save(path_of(maps, "01"), values)
    values = np.full(SHAPE, np.nan)
    values[0, 0, 1:3] = 1
    save(path_of(maps, "02"), values)
    with pytest.raises(InputError, match=r"sub-01_.* with 1 voxels"):
        read_stack(find(maps))


def test_native_space_is_refused(tmp_path):
    save(tmp_path / "sub-01/sub-01_space-T1w_contrast-a_stat-effect_statmap.nii.gz", np.ones(SHAPE))
    with pytest.raises(SettingsError, match="T1w, which differs between participants"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ({"space": "MNI305"}, "--space MNI305: no effect maps in this space. There are: MNI152NLin6Asym."),
        ({"res": "2"}, "--res 2: no effect maps of this resolution. There are: none"),
    ],
)
def test_space_and_resolution_that_no_map_has_are_told_of_maps(maps, selection, said):
    with pytest.raises(SettingsError) as caught:
        find(maps, **selection)
    assert said in str(caught.value)


@pytest.mark.parametrize("chosen", [None, "MNIInfant:cohort-1"])
def test_maps_in_the_space_of_a_cohort_are_found(tmp_path, chosen):
    for subject in ("01", "02"):
        stem = f"sub-{subject}_space-MNIInfant_cohort-1_contrast-a_stat-effect_statmap.nii.gz"
        save(tmp_path / f"sub-{subject}" / stem, np.ones(SHAPE))
    assert len(find(tmp_path, space=chosen)) == 2


def test_folder_without_maps_is_refused_with_code_66(tmp_path):
    with pytest.raises(InputError, match="Run the participant level first") as caught:
        find(tmp_path)
    assert caught.value.exit_code == 66


def test_unknown_participant_is_refused_with_code_18(maps):
    with pytest.raises(InputError, match="No effect maps of sub-3") as caught:
        find(maps, participant_label=("3",))
    assert caught.value.exit_code == 18


def test_maps_of_another_program_are_read(reference):
    stack = read_stack(find(reference / "data/words-contrast-maps"))
    assert stack.effect.shape == (14, 50256)
    assert np.isfinite(stack.effect).all()
