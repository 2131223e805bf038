"""Both levels on the demo dataset, through the command line: the planted effects are found and reported."""

import re
import shutil
from html.parser import HTMLParser

import nibabel as nib
import numpy as np
import pytest

from bidsapp.cli.main import main
from bidsapp.demo import REGIONS
from bidsapp.inputs.estimates import find_estimates
from bidsapp.inputs.images.stacks import read_stack
from bidsapp.settings.parts import Selection

CONTRAST = "faceMinusHouse"
STEM = f"task-viewing_space-MNI152NLin2009cAsym_node-datasetLevel_contrast-{CONTRAST}"
FUSIFORM, PARAHIPPOCAMPAL = REGIONS[1][0], REGIONS[3][0]


@pytest.fixture(scope="module")
def results(tiny_dataset, tiny_results, tmp_path_factory):
    """Return the output folder after both levels, with the contrast that the automatic model makes."""
    out = shutil.copytree(tiny_results, tmp_path_factory.mktemp("demo") / "out")
    # With 4 subjects there are 16 sign flips: no smaller alpha can be reached.
    options = ["--n-cpus", "1", "--alpha", "0.13", "--n-permutations", "16"]
    assert main([str(tiny_dataset), str(out), "group", *options]) == 0
    return out


def group_map(results, stat):
    image = nib.load(results / f"group/{STEM}_stat-{stat}_statmap.nii.gz")
    return image.get_fdata(), image.affine


def value_near(results, stat, position):
    values, affine = group_map(results, stat)
    i, j, k = np.round(nib.affines.apply_affine(np.linalg.inv(affine), position)).astype(int)
    return values[i, j, k]


def test_group_effect_has_the_planted_sign(results):
    assert value_near(results, "effect", FUSIFORM) > 0.5
    assert value_near(results, "effect", PARAHIPPOCAMPAL) < -0.5


@pytest.mark.parametrize("sign", [1, -1], ids=["face", "house"])
def test_group_effect_in_the_true_regions_is_that_of_the_truth(results, tiny_dataset, sign):
    truth = sign * nib.load(tiny_dataset / f"truth/{CONTRAST}.nii.gz").get_fdata()
    effect, _ = group_map(results, "effect")
    region = (truth > 0.5) & np.isfinite(effect)
    # Half of the subjects respond 30 % less to faces, and smoothing of 6 mm lowers bumps of 12 mm.
    share = sign * effect[region].mean() / truth[region].mean()
    assert 0.4 < share < 1.2


def test_voxels_without_an_effect_are_found_at_the_nominal_rate(results):
    effect, affine = group_map(results, "effect")
    z, _ = group_map(results, "z")
    # Smoothing of 6 mm carries effects a voxel or two beyond their edge.
    positions = nib.affines.apply_affine(affine, np.argwhere(np.isfinite(effect)))
    distance = np.min(
        [np.linalg.norm(positions - centre, axis=1) - radius for centre, radius, _ in REGIONS], axis=0
    )
    false = np.abs(z[np.isfinite(effect)][distance > 20]) > 1.96
    # Neighbours share smoothed noise, so the rate spreads about the nominal 5 %.
    assert 0.01 < false.mean() < 0.10


def test_estimates_of_the_participant_level_are_read_back(results, tiny_dataset):
    files = find_estimates(Selection(), tiny_dataset, results)
    chosen = [f for f in files if f.key.contrast == CONTRAST and f.key.level == "subject"]
    stack = read_stack(chosen)
    assert stack.labels == ("sub-01", "sub-02", "sub-03", "sub-04")
    assert np.isfinite(stack.effect).all()
    assert (stack.variance > 0).all()
    # Two runs of some 30 to 50 degrees of freedom in most voxels: the noise is estimated.
    assert ((stack.dof > 25) & (stack.dof < 100)).all()


class Links(HTMLParser):
    """Collect what a page loads."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def handle_starttag(self, tag, attrs):
        names = {"script": "src", "img": "src", "link": "href", "iframe": "src"}
        if tag in names:
            self.loaded.append(dict(attrs).get(names[tag]) or "")


@pytest.mark.parametrize("name", ["index.html", "group.html", "sub-01.html", "sub-04.html"])
def test_page_loads_nothing_from_elsewhere(results, name):
    links = Links()
    links.feed((results / name).read_text(encoding="utf-8"))
    assert [link for link in links.loaded if re.match(r"(https?:)?//", link)] == []
