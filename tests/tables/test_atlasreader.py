"""Labels and clusters against atlasreader's own functions, where these are right."""

import importlib
import importlib.resources
import sys
from types import SimpleNamespace

import nilearn._utils
import pytest
from nilearn.image import load_img

from bidsapp.tables.atlas import add_labels, read_atlases

# atlasreader's code is older than the NumPy beside it.
pytestmark = pytest.mark.filterwarnings("ignore:.*row_stack:DeprecationWarning")

ATLASES = ["aal", "talairach_ba", "desikan_killiany"]
# What atlasreader calls the voxels of an atlas that are in no region.
NOWHERE = {"Background": "no_label", "Unknown": "no_label"}
XYZ = ["peak_x", "peak_y", "peak_z"]


@pytest.fixture(scope="module")
def atlasreader():
    """Return atlasreader's module, with what nilearn 0.14 and setuptools 82 no longer have."""
    patch = pytest.MonkeyPatch()
    resources = SimpleNamespace(
        resource_filename=lambda package, path: str(importlib.resources.files(package) / path)
    )
    patch.setitem(sys.modules, "pkg_resources", resources)
    patch.setattr(nilearn._utils, "check_niimg", lambda image, **_: load_img(image), raising=False)
    patch.setenv("MPLBACKEND", "agg")
    yield importlib.import_module("atlasreader.atlasreader")
    patch.undo()
    for name in [name for name in sys.modules if name.startswith("atlasreader")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def motor(motor_map):
    image, geometry, table = motor_map
    return image, geometry, table, *add_labels(table, geometry, read_atlases(ATLASES))


@pytest.mark.parametrize("key", ATLASES)
def test_labels_of_peaks_are_atlasreaders(atlasreader, motor, key):
    *_, peaks = motor
    places = peaks[XYZ].to_numpy()
    theirs = [atlasreader.read_atlas_peak(key, list(place)) for place in places]
    (atlas,) = read_atlases([key])
    assert atlas.label_peaks(places) == [NOWHERE.get(name, name) for name in theirs]


@pytest.mark.parametrize("key", ATLASES)
def test_shares_of_clusters_are_atlasreaders(atlasreader, motor, key):
    image, geometry, table, clusters, _ = motor
    volume = geometry.volume(table.labels, fill=0)
    for cluster, label in zip(clusters["cluster_id"], clusters[key], strict=True):
        found = atlasreader.read_atlas_cluster(key, (volume == cluster).astype(int), image.affine)
        theirs = {
            NOWHERE.get(str(name), str(name)): f"{share:.1f}".removesuffix(".0") for share, name in found
        }
        assert dict(reversed(part.split("% ", 1)) for part in label.split("; ")) == theirs
