"""The section "Does it hold?": what its sentences and its figure say of a table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bidsapp.outputs.results import read_group_results
from bidsapp.outputs.tables import write_table
from bidsapp.report.drawing.held import Lane, draw_held
from bidsapp.report.render import FigureBook
from bidsapp.report.sections.contrast.robustness import find_flagged, make_section, read_held, say
from bidsapp.report.sections.contrast.shown import Shown

HOSTILE = "<script>alert('x')</script>"
PLACE = ["peak_x", "peak_y", "peak_z"]
ABOUT = {"Statistic": "t", "Survives": True, "Compared": "subjects", "SurvivingSize": "By the cut-off"}


@pytest.fixture(scope="module")
def shown(output_folder):
    (results,) = read_group_results(output_folder)
    return Shown(results, results.record.contrasts[0])


def with_table(shown, values, *, sizes=(), subjects=("sub-01", "sub-02"), about=()):
    """Return a contrast whose two highest peaks have such values: estimator or subject -> t at both."""
    peaks = shown.peaks[PLACE].head(2)
    frames = []
    for name, (first, second) in values.items():
        own = {"estimator": "ols", "left_out": name} if name in subjects else {"estimator": name}
        frames.append(peaks.assign(statistic=[first, second], n_agree=[4, 3], n_compared=4, **own))
    whole = {"left_out": [None, *dict(sizes)], "n_voxels": [7, *dict(sizes).values()], "estimator": "ols"}
    columns = [*PLACE, "estimator", "left_out", "statistic", "n_agree", "n_compared", "n_voxels"]
    frame = pd.concat([*frames, pd.DataFrame(whole)], ignore_index=True).reindex(columns=columns)
    path = "group/x_robustness.tsv"
    write_table(shown.results.folder / path, frame, ABOUT | {"NotFitted": {}} | dict(about))
    return replace(shown, contrast=replace(shown.contrast, robustness=path))


def test_the_largest_fall_is_named_first_beside_the_next(shown):
    values = {"ols": (-9.0, 6.0), "huber": (-8.5, 6.2), "sub-01": (-8.8, 4.0), "sub-02": (-9.5, 5.9)}
    held = read_held(with_table(shown, values, sizes={"sub-01": 1250, "sub-02": 9}))
    said = say(replace(held, flagged={}), "t")
    assert said[0].startswith("Largest relative fall of a peak: without sub-01 t in ")
    assert said[0].endswith("goes from 6.00 to 4.00 (−33 %); next comes sub-02 (−2 %).")
    assert said[1].endswith("the weakest of these peaks keeps |t| ≥ 4.00.")
    words = "9 (without sub-02) to 1,250 voxels (without sub-01) survive; 7 with all."
    assert said[2] == f"By the cut-off of all subjects, {words}"
    assert len(said) == 3
    assert list(held.values) == ["OLS", "Huber"]
    for size, words in ((0, "nothing survives"), (3, "3 voxels survive")):
        alike = say(replace(held, flagged={}, sizes=dict.fromkeys(held.sizes, size)), "t")
        assert alike[2] == f"By the cut-off of all subjects, {words}, whoever is left out; 7 with all."


def test_a_peak_that_changes_its_sign_is_said(shown):
    held = read_held(with_table(shown, {"ols": (3.0, 3.0), "sub-01": (-0.5, 3.1), "sub-02": (2.0, 2.9)}))
    said = say(held, "t")
    assert "goes from 3.00 to −0.50 (−117 %)" in said[0]
    assert said[1] == "Leaving out one subject, a peak changes its sign."


def test_what_cannot_be_estimated_without_a_subject_is_no_fall(shown):
    held = read_held(with_table(shown, {"ols": (3.0, 3.0), "sub-01": (np.nan, np.nan), "sub-02": (3.2, 3.1)}))
    assert say(held, "t")[0] == "Leaving out any one subject, the weakest of these peaks keeps t ≥ 3.10."
    held = read_held(with_table(shown, {"ols": (3.0, 3.0), "sub-01": (np.nan, np.nan)}))
    assert say(replace(held, flagged={}), "t") == []
    said = say(replace(held, flagged={"sub-01": "far off"}), "t")
    assert said == ["Flagged: sub-01 (far off). The others cannot estimate the contrast at these peaks."]


def test_flagged_subjects_come_with_what_remains(shown):
    frame = pd.DataFrame(
        {
            "participant_id": ["sub-01", "sub-02", "sub-03", "sub-04", "sub-05"],
            "cooks_distance": [0.1, 0.1, 0.1, 0.1, 9.0],
            "mean_fd": [0.1, 0.12, 0.11, 0.13, 0.9],
            "flag": [HOSTILE, None, None, None, None],
        }
    )
    write_table(shown.results.folder / "group/x_influence.tsv", frame)
    flagged = replace(shown, contrast=replace(shown.contrast, influence="group/x_influence.tsv"))
    # Measures of the model have their words in the flag.
    assert find_flagged(flagged) == {"sub-01": HOSTILE, "sub-05": "unusual mean FD (mm)"}
    held = with_table(flagged, {"ols": (9.0, 6.0), "sub-01": (8.0, 3.0)}, sizes={"sub-01": 2})
    said = say(read_held(held), "t")
    assert said[-1].startswith(f"Flagged: sub-01 ({HOSTILE}). Without it t in ")
    assert said[-1].endswith(" is 3.00 in place of 6.00, and 2 voxels survive.")
    book = FigureBook()
    section = make_section(held, book)
    assert HOSTILE not in section.content
    assert "without sub-01: 3.00" in section.content


def test_reasons_and_agreement_are_said(shown):
    about = {"NotFitted": {"reml": "no variances", "huber": "no variances"}}
    held = with_table(shown, {"ols": (9.0, 6.0), "sub-01": (8.0, 3.0)}, about=about)
    content = make_section(held, FigureBook()).content
    assert "REML and Huber: not fitted; no variances." in content
    assert "4 of 4" in content
    assert "3 of 4" in content
    assert "was not counted: By the cut-off." in content
    pairs = with_table(shown, {"ols": (9.0, 6.0), "sub-01": (8.0, 3.0)}, about={"Compared": "pairs"})
    assert read_held(pairs).agree == ["100 %", "75 %"]
    neither = with_table(shown, {"ols": (9.0, 6.0), "sub-01": (8.0, 3.0)}, about={"Compared": None})
    assert read_held(neither).agree == []


def test_results_of_earlier_versions_have_no_section(shown):
    assert make_section(shown, FigureBook()) is None


def test_overlaps_are_those_of_the_maps(shown):
    found = shown.overlaps
    main, *others = shown.contrast.thresholds
    mine = np.nan_to_num(shown.kept[main.method].values) != 0
    assert 0 < mine.sum() == main.n_voxels
    for threshold in others:
        theirs = np.nan_to_num(shown.kept[threshold.method].values) != 0
        if theirs.any():
            dice = 2 * (mine & theirs).sum() / (main.n_voxels + threshold.n_voxels)
            assert found[threshold.method][1] == f"{dice:.2f}"
    assert len({share for _, share in found.values()}) > 1
    nothing = replace(main, n_voxels=0)
    empty = replace(shown, contrast=replace(shown.contrast, thresholds=(nothing, *others)))
    assert empty.overlaps == {}


def test_the_lanes_share_an_axis_that_begins_at_zero():
    lanes = [Lane("a", "1, 2, 3", {"OLS": 8.0, "Huber": 7.0}, (6.0, 9.0), {"sub-01": 6.0}, "8 of 8")]
    figure = draw_held(lanes, unit="t", cutoff=5.0, header="subjects of this sign", alt="words")
    assert figure.body.count("stroke-dasharray") == 1
    assert ">0<" in figure.body
    assert "<title>OLS: 8.00</title>" in figure.body
    assert "without a flagged subject" in figure.body
    both = [*lanes, replace(lanes[0], values={"OLS": -8.0}, ends=(-9.0, -6.0), crosses={})]
    assert draw_held(both, unit="t", cutoff=5.0, header="", alt="").body.count("stroke-dasharray") == 2
