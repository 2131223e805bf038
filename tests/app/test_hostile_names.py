"""Names with markup, quotes and unicode in a dataset, an atlas and on the command line, through both levels.

Only in a model file, which a person writes, is markup refused (tests/model/test_model.py).
"""

import shutil
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import html5lib
import nibabel as nib
import numpy as np
import pytest

from bidsapp.cli.main import main

pytestmark = pytest.mark.slow
CONDITION = '<script>alert(1)</script> < "Ä\'s → 語" & 2'
REGION = "<script>alert('Ä')</script> & \"b\""


@pytest.fixture(scope="module")
def results(tiny_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(tiny_dataset, folder / "data")
    for path in (folder / "data").rglob("*_events.tsv"):
        path.write_text(path.read_text().replace("\tface", f"\t{CONDITION}"), encoding="utf-8")
    whole = np.ones((20, 24, 20), np.int16)
    affine = np.diag([10.0, 10, 10, 1])
    affine[:3, 3] = -100, -120, -90
    nib.Nifti1Image(whole, affine).to_filename(folder / "mine.nii.gz")
    (folder / "mine.tsv").write_text(f"index\tname\n1\t{REGION}\n", encoding="utf-8")
    options = ["--n-permutations", "16", "--alpha", "0.13", "--atlas", str(folder / "mine.nii.gz")]
    arguments = [str(folder / "data"), str(folder / "out"), "participant", "group", *options]
    assert main([*arguments, "--participant-label", "01", "02", "03", "04"]) == 0
    return folder / "out"


class Reader(HTMLParser):
    """Collects the text of a page and its scripts, as a browser would."""

    def __init__(self):
        super().__init__()
        self.text, self.scripts, self.inside = [], [], False

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        (self.scripts if self.inside else self.text).append(data)


@pytest.mark.parametrize("page", ["group.html", "index.html", "sub-01.html"])
def test_names_are_shown_as_text(results, page):
    content = (results / page).read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(content)
    reader = Reader()
    reader.feed(content)
    assert CONDITION in " ".join(reader.text)
    assert not any("alert" in script for script in reader.scripts)


def test_labels_of_the_users_atlas_are_shown_as_text(results):
    reader = Reader()
    reader.feed((results / "group.html").read_text(encoding="utf-8"))
    assert REGION in " ".join(reader.text)


def test_figures_with_such_names_are_well_formed(results):
    figures = list(results.glob("*/figures/*.svg"))
    assert len(figures) > 50
    for path in figures:
        ElementTree.parse(path)
        assert "語" not in path.name
