"""Figures of regions: conditions side by side, short names."""

import pandas as pd
import pytest
from saved_records import make

from bidsapp.outputs.results import Results
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.report.sections.group_regions import draw_regions, find_inputs, short_region, short_regions

LONG = "Left_Juxtapositional_Lobule_Cortex_(formerly_Supplementary_Motor_Cortex)"


def make_results(folder, labels):
    subjects = [{"label": label, "used": True} for label in labels]
    return Results(folder, make(GroupRecord, design="design.tsv", subjects=subjects))


def make_frame(columns, n_regions=20):
    """Return a table of regions whose last has the smallest p."""
    regions = [f"Right_Region_{k}" for k in range(n_regions)]
    frame = pd.DataFrame({"contrast": "stim", "region": regions, "effect": None, "low": None, "high": None})
    frame["p"] = [0.9 - 0.04 * k for k in range(n_regions)]
    frame["q"] = [0.9] * (n_regions - 1) + [0.01]
    return frame.assign(**{name: float(k) for k, name in enumerate(columns)})


@pytest.mark.parametrize(
    ("name", "short"),
    [
        (LONG, "Juxtapositional Lobule Cortex L"),
        ("Right_Caudate", "Caudate R"),
        ("Occipital_Mid_L", "Occipital Mid L"),
        ("Brain-Stem", "Brain-Stem"),
        ("(x)", "(x)"),
        ("Left", "Left"),
    ],
)
def test_regions_have_short_names(name, short):
    assert short_region(name) == short


def test_names_that_would_be_the_same_stay_whole():
    assert short_regions(["A_(x)", "A_(y)", "B_(y)"]) == {"A_(x)": "A_(x)", "A_(y)": "A_(y)", "B_(y)": "B"}


def test_conditions_of_repeated_measures_have_a_chart_a_region(tmp_path):
    subjects = ["sub-01", "sub-02"]
    columns = [f"{subject} {cell}" for subject in subjects for cell in ("faces", "houses", "tools")]
    # Rows of a pooled model are labelled with their cells, those of other models are not.
    for labels in (columns, subjects):
        body = draw_regions(make_results(tmp_path, labels), make_frame(columns), "an atlas").body
        assert [body.count(f">{cell}<") for cell in ("faces", "houses", "tools")] == [12, 12, 12]
        assert body.count("<title>sub-01</title>") == 12
        assert ">Region 19 R *<" in body
        assert ">Region 8 R<" in body
        assert ">Region 7 R<" not in body


def test_one_map_a_subject_has_dots(tmp_path):
    results = make_results(tmp_path, ["sub-01", "sub-02"])
    frame = make_frame(["sub-01", "sub-02"])
    assert find_inputs(results, frame) == ["sub-01", "sub-02"]
    body = draw_regions(results, frame, "an atlas").body
    assert body.count("<title>sub-01</title>") == 20
    assert ">Region 19 R *<" in body
