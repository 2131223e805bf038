"""The page of a subject: degrees of freedom, the design of each run."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from bidsapp.outputs.results import read_subject_results
from bidsapp.report.render import FigureBook
from bidsapp.report.sections.subject_runs import make_sections
from bidsapp.report.sections.subject_summary import show_span, words_for_dof


@pytest.fixture(scope="module")
def results(output_folder):
    return read_subject_results(output_folder, "01")


@pytest.mark.parametrize(
    ("dof", "words"), [(200.0, "200"), ([2, 67.4], "2, 67.4"), (None, "varies"), ([2, None], "2, varies")]
)
def test_dof_are_the_numbers_of_the_record(results, dof, words):
    assert words_for_dof(results, replace(results.record.estimates[-1], dof=dof)) == words


@pytest.mark.parametrize(("dof", "first"), [(None, ""), ([2, None], "2, ")])
def test_dof_that_differ_between_voxels_are_a_median_and_a_range(results, tmp_path, dof, first):
    # What was not analysed is 0 or NaN in the map.
    values = np.concatenate([np.linspace(20, 120, 101), [0.0, np.nan]]).reshape(103, 1, 1)
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), tmp_path / "dof.nii.gz")
    estimate = replace(results.record.estimates[-1], dof=dof, maps={"dof": "dof.nii.gz"})
    assert words_for_dof(replace(results, folder=tmp_path), estimate) == f"{first}70 (25 to 115)"


def test_a_span_of_one_number_is_that_number():
    assert show_span((87.0, 87.0, 87.0)) == "87"
    assert show_span((None, None, None)) == "n/a"


def test_each_run_shows_its_design_once_with_every_regressor(results):
    book = FigureBook()
    sections = make_sections(results, book)
    for section, run in zip(sections, results.record.runs, strict=True):
        assert section.content.count("Design of") == 1
        names = [name for name in results.read_table(run.design).columns if name != "frame_time"]
        assert all(f">{name}</text>" in section.content for name in names)
    assert not [path for path in book.files if "carpet" in path]


def test_runs_that_were_fitted_together_are_drawn_over_their_volumes(results):
    joined = replace(results.record.runs[0], n_volumes=60, motion=None)
    (section,) = make_sections(replace(results, record=replace(results.record, runs=(joined,))), FigureBook())
    assert "120 volumes, one row for each" in section.content
    assert ">volume</text>" in section.content
