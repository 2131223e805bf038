"""Responses of basis sets and FIR on the page of a subject."""

import json
import shutil
from dataclasses import replace

import pytest
from saved_records import make

from bidsapp.outputs.results import read_subject_results
from bidsapp.outputs.saved.participant import ResponseRecord
from bidsapp.report.pages import write_subject_report
from bidsapp.report.render import FigureBook
from bidsapp.report.sections.subject_responses import make_section

SECONDS = [0.0, 2.0, 4.0, 6.0]
RESPONSE = {
    "condition": "trial_type.face",
    "node": "subjectLevel",
    "entities": {"sub": "01", "task": "stroop", "space": "MNI152NLin2009cAsym"},
    "contrast": "face > rest",
    "position": [-38.0, -22.0, 52.0],
    "z": -6.125,
    "units": "% signal change",
    "duration": 1.5,
    "delays": False,
    "seconds": SECONDS,
    "effect": [0.0, 0.5, 1.0, 0.25],
    "low": [0.0, 0.25, None, 0.0],
    "high": [0.0, 0.75, None, 0.5],
    "runs": {"run-1": [0.0, 0.4, 1.1, 0.2], "run-2": [0.0, 0.6, 0.9, 0.3]},
}


def section(output_folder, **changes):
    results = read_subject_results(output_folder, "01")
    response = make(ResponseRecord, **{**RESPONSE, **changes})
    book = FigureBook()
    made = make_section(replace(results, record=replace(results.record, responses=(response,))), book)
    return made.content, book


def test_a_response_is_drawn_with_its_place(output_folder):
    content, book = section(output_folder)
    assert "-38, −22, 52 mm (Postcentral L)".replace("-", "−") in content
    assert "contrast face &gt; rest has its strongest z (−6.12)" in content
    assert "an event of 1.5 s" in content
    assert "Response to face over time" in content
    (path,) = book.files
    assert path.startswith("sub-01/figures/sub-01_task-stroop_space-MNI152NLin2009cAsym_node-subjectLevel")


@pytest.mark.parametrize(("delays", "bands", "bars"), [(False, 1, 0), (True, 0, 4)])
def test_delays_are_points_and_shapes_are_a_band(output_folder, delays, bands, bars):
    content, _ = section(output_folder, delays=delays, low=[0, 0.25, 0.5, 0.0], high=[0, 0.75, 1.5, 0.5])
    assert content.count('opacity="0.22"') == bands
    assert content.count("<circle") == bars
    assert "Each point is a column" in content if delays else "Each point" not in content


def test_the_line_goes_through_the_response_and_each_of_several_runs_has_one(output_folder):
    content, _ = section(output_folder)
    assert content.count('stroke-width="0.7"') == 2
    content, _ = section(output_folder, runs={"run-1": RESPONSE["effect"]})
    assert content.count('stroke-width="0.7"') == 0


def test_in_native_space_there_is_no_region(output_folder):
    content, _ = section(output_folder, entities={"sub": "01", "task": "stroop", "space": "T1w"})
    assert "52 mm, where contrast" in content


def test_records_without_responses_have_no_section(output_folder, tmp_path):
    results = read_subject_results(output_folder, "01")
    assert results.record.responses == ()
    assert make_section(results, FigureBook()) is None
    shutil.copytree(output_folder, tmp_path / "out")
    path = tmp_path / "out/logs/sub-01_participant.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"responses": [RESPONSE]}))
    page = write_subject_report(tmp_path / "out", "01").read_text(encoding="utf-8")
    assert '<a href="#responses">Responses</a>' in page
