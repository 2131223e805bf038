"""Remarks on pages: each once, after the findings, with what they concern; thresholds that cannot be used."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from markupsafe import Markup

from bidsapp.outputs.results import read_group_results, read_subject_results
from bidsapp.report.pages import GROUP_SECTIONS
from bidsapp.report.render import FigureBook
from bidsapp.report.sections import group_matrix, group_remarks, subject_summary
from bidsapp.report.sections.contrast import thresholds
from bidsapp.report.sections.contrast.shown import Shown

NARROW = "The noise is {} voxels wide, narrower than needed: its p-values are too large. Use others."
KEPT = Path(__file__).parents[1] / "earlier_version"


def make_rft(contrast, width, *, reason="", n_voxels=0):
    """Return a contrast with a threshold by random fields that says something about itself."""
    warnings = (NARROW.format(width),) if width else ()
    more = {"method": "rftSize", "title": "by random fields", "reason": reason, "warnings": warnings}
    rft = replace(contrast.main, **more, n_voxels=n_voxels, n_clusters=n_voxels)
    return replace(contrast, thresholds=(*contrast.thresholds, rft))


@pytest.fixture
def results(output_folder):
    """Return the results of a model with several contrasts, each with a threshold that cannot be used."""
    (found,) = read_group_results(output_folder)
    widths = (1.76, 1.5, 1.61)
    contrasts = tuple(
        make_rft(one, width) for one, width in zip(found.record.contrasts, widths, strict=False)
    )
    return replace(found, record=replace(found.record, contrasts=contrasts, warnings=()))


def words_of(section):
    return Markup(section.content).striptags()


def test_a_remark_on_several_contrasts_is_there_once_with_the_range(results):
    section = group_remarks.make_section(results, FigureBook())
    before, _, each = words_of(section).partition("One by one")
    assert before.count("narrower") == 1
    assert "RFT cluster size: The noise is 1.5 to 1.76 voxels wide" in before
    assert "What to do: Use others." in before
    assert "Concerns all contrasts." in before
    assert each.count("narrower") == len(results.record.contrasts) > 1
    assert each.count("RFT cluster size") == len(results.record.contrasts)
    assert "rftSize" not in each


def test_a_remark_on_one_contrast_names_it(results):
    first, *rest = results.record.contrasts
    record = replace(
        results.record, contrasts=(first, *(replace(one, thresholds=one.thresholds[:-1]) for one in rest))
    )
    section = group_remarks.make_section(replace(results, record=record), FigureBook())
    assert f"Concerns {first.name}." in words_of(section)
    assert "<details" not in section.content


def test_a_model_without_remarks_has_no_section(results):
    contrasts = tuple(replace(one, thresholds=one.thresholds[:-1]) for one in results.record.contrasts)
    record = replace(results.record, contrasts=contrasts)
    assert group_remarks.make_section(replace(results, record=record), FigureBook()) is None
    partial = replace(results, record=replace(record, status="partial", message="b failed"))
    assert "Status: partial. b failed" in words_of(group_remarks.make_section(partial, FigureBook()))


def test_remarks_of_an_earlier_version_are_read():
    (found,) = read_group_results(KEPT)
    assert "The noise is narrower" in words_of(group_remarks.make_section(found, FigureBook()))
    assert group_remarks.make_section in GROUP_SECTIONS


@pytest.mark.parametrize(
    ("width", "reason", "n_voxels", "is_shown"),
    [(1.76, "", 0, False), (1.76, "", 3, False), (None, "no smoothness", 0, False), (None, "", 0, True)],
)
def test_a_threshold_that_cannot_be_used_is_not_compared(results, width, reason, n_voxels, is_shown):
    plain = replace(results.record.contrasts[0], thresholds=results.record.contrasts[0].thresholds[:-1])
    contrast = make_rft(plain, width, reason=reason, n_voxels=n_voxels)
    shown = Shown(results, contrast)
    words = words_of(thresholds.make_section(shown, FigureBook()))
    assert ("By random fields" in words) == is_shown
    assert ("Left out, as they cannot be used here: RFT cluster size." in words) != is_shown
    (matrix,) = group_matrix.make_sections(
        [SimpleNamespace(contrast=contrast, href="x", cells={})], FigureBook()
    )
    assert (">–</td>" in matrix.content) != is_shown


def test_the_main_threshold_is_always_compared(results):
    contrast = make_rft(results.record.contrasts[0], 1.76)
    contrast = replace(contrast, thresholds=contrast.thresholds[-1:])
    words = words_of(thresholds.make_section(Shown(results, contrast), FigureBook()))
    assert "By random fields" in words
    assert "Left out" not in words


def test_warnings_of_several_runs_of_a_participant_are_there_once(output_folder):
    found = read_subject_results(output_folder, "01")
    runs = [run.label for run in found.record.runs]
    warnings = tuple(f"{label}: {k + 2} volumes are odd. Look at them." for k, label in enumerate(runs))
    section = subject_summary.make_section(
        replace(found, record=replace(found.record, warnings=warnings)), FigureBook()
    )
    before, _, each = words_of(section).partition("One by one")
    assert "2 to 3 volumes are odd. What to do: Look at them.Concerns all runs." in " ".join(before.split())
    assert before.count("volumes are odd") == 1
    assert all(words in each for words in warnings)
    assert before.index("Which runs made each estimate") < before.index("volumes are odd")
