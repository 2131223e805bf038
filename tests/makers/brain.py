"""What the makers of simulated brains share: the grid, planted regions, smooth noise, images."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn.datasets import load_mni152_brain_mask
from nilearn.image import resample_img
from scipy.ndimage import gaussian_filter

SPACE = "MNI152NLin2009cAsym"


def make_grid(voxel_size_mm):
    """Return the mask that nilearn bundles, on a grid around the brain, and the affine."""
    affine = np.diag([voxel_size_mm] * 3 + [1.0])
    affine[:3, 3] = (-72, -108, -72)
    shape = [int(np.ceil(extent / voxel_size_mm)) for extent in (144, 184, 160)]
    grid = {"target_affine": affine, "target_shape": shape, "interpolation": "nearest"}
    image = resample_img(load_mni152_brain_mask(resolution=2), **grid, force_resample=True, copy_header=True)
    return np.asarray(image.dataobj) > 0, affine


def plant(regions, mask, affine):
    """Return the effects (n_conditions, n_points) of regions: centre, radius in mm, effects of conditions."""
    positions = nib.affines.apply_affine(affine, np.argwhere(mask))
    bumps = [
        np.outer(sizes, np.exp(-0.5 * (np.linalg.norm(positions - centre, axis=1) / (radius / 1.5)) ** 2))
        for centre, radius, sizes in regions
    ]
    return np.sum(bumps, axis=0)


def smooth_noise(rng, mask, sigma_voxels, n_maps):
    """Return maps of smooth noise with a standard deviation of one, shape (n_maps, n_points)."""
    volumes = rng.standard_normal((n_maps, *mask.shape), dtype=np.float32)
    maps = np.array([gaussian_filter(volume, sigma_voxels)[mask] for volume in volumes])
    return maps / maps.std()


def save_map(values, mask, affine, path, *, outside=np.nan):
    volume = np.full(mask.shape, outside, np.float32)
    volume[mask] = values
    save_image(nib.Nifti1Image(volume, affine), path)


def save_series(volume, affine, path, *, repetition_time):
    image = nib.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*image.header.get_zooms()[:3], repetition_time))
    save_image(image, path)


def save_image(image, path):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_table(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def describe(folder, kind):
    """Write dataset_description.json of a ``raw`` or ``derivative`` dataset."""
    more = {"GeneratedBy": [{"Name": "fMRIPrep", "Version": "simulated"}]} if kind == "derivative" else {}
    content = {"Name": "simulated", "BIDSVersion": "1.10.0", "DatasetType": kind, **more}
    write_json(folder / "dataset_description.json", content)


def copy_subjects(dataset, folder, n_subjects=1):
    """Copy the first subjects of the tiny dataset into a folder, to be changed; return it."""
    others = [f"sub-{number:02d}" for number in range(n_subjects + 1, 5)]
    shutil.copytree(dataset, folder, ignore=shutil.ignore_patterns(*others, "truth"))
    return folder
