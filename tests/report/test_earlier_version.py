"""An output folder of the version before the redesign, kept with maps of 16 mm: it is read as ever."""

import json
import shutil
from pathlib import Path

import pytest
from group_pages import read_group_pages

from bidsapp.cli.main import main
from bidsapp.outputs.earlier import find_finished
from bidsapp.outputs.results import read_group_results, read_subject_results
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord
from bidsapp.report.pages import write_subject_report

KEPT = Path(__file__).with_name("earlier_version")


@pytest.fixture
def folder(tmp_path):
    # Times of its own, as those of any copy.
    shutil.copytree(KEPT, tmp_path / "out", copy_function=shutil.copyfile)
    return tmp_path / "out"


def test_records_are_read_and_what_they_lack_has_its_default(folder):
    subject = read_subject_results(folder, "01").record
    (results,) = read_group_results(folder)
    (contrast,) = results.record.contrasts
    assert [run.noise_model for run in subject.runs] == ["ar4-reml"]
    assert [estimate.level for estimate in subject.estimates] == ["run", "subject"]
    assert (contrast.main.method, contrast.main.n_voxels) == ("maxTFCE", 316)
    # These came later.
    assert (contrast.permutation.mode, contrast.permutation.words) == (None, None)
    assert results.record.n_subjects == 8


def test_its_reports_are_made(folder):
    write_subject_report(folder, "01")
    (folder.parent / "bids").mkdir()
    assert main([str(folder.parent / "bids"), str(folder), "group", "--reports-only"]) == 0
    page = read_group_pages(folder)
    assert "256 shuffles (sign-flip), all there are" in page
    assert "threshold-free cluster enhancement, family-wise error 0.05" in page
    assert "could not be made" not in page + (folder / "sub-01.html").read_text()
    assert 'href="sub-01.html"' in (folder / "index.html").read_text()


@pytest.mark.parametrize(("pattern", "kind"), [("sub-*", SubjectRecord), ("*_group*", GroupRecord)])
def test_its_work_is_finished_where_nothing_changed(folder, pattern, kind):
    (path,) = (folder / "logs").glob(pattern)
    fingerprint = json.loads(path.read_text())["fingerprint"]
    assert find_finished(path, kind, fingerprint).fingerprint == fingerprint
    assert find_finished(path, kind, "another") is None
    for image in folder.rglob("*.nii.gz"):
        image.write_bytes(image.read_bytes()[:-9])
    assert find_finished(path, kind, fingerprint) is None
