"""Contrasts by regions: what their cells say, and in which colours; where a view starts."""

from dataclasses import replace

import pandas as pd
import pytest

from bidsapp.outputs.results import read_group_results
from bidsapp.report.drawing.colours import css_colours
from bidsapp.report.sections.contrast.shown import Shown
from bidsapp.report.sections.group_matrix import strongest_of_regions


@pytest.fixture
def results(output_folder):
    (found,) = read_group_results(output_folder)
    return found


def make_shown(results, tail):
    contrast = results.record.contrasts[0]
    main = replace(contrast.main, tail=tail, n_voxels=0)
    return Shown(results, replace(contrast, thresholds=(main,)))


def test_regions_have_the_strongest_value_in_a_tested_direction(results):
    cells = {
        tail: strongest_of_regions(make_shown(results, tail)) for tail in ("two", "positive", "negative")
    }
    assert min(cell.value for cell in cells["two"].values()) < 0
    assert min(cell.value for cell in cells["positive"].values()) > 0
    assert max(cell.value for cell in cells["negative"].values()) < 0
    for name, cell in cells["two"].items():
        assert cell.value in [
            cells[tail][name].value for tail in ("positive", "negative") if name in cells[tail]
        ]


@pytest.mark.parametrize("sign", [-1, 1])
def test_strong_cells_are_dark(sign):
    light = [sum(bytes.fromhex(css_colours(sign * share)[0][1:])) for share in (0.1, 0.5, 1.0)]
    assert light == sorted(light, reverse=True)


def test_the_view_starts_at_the_strongest_peak_that_was_tested_for(results):
    places = {f"peak_{axis}": [1.0, 2.0, 3.0] for axis in "xyz"}
    for tail, expected in (("two", 2.0), ("positive", 3.0)):
        shown = make_shown(results, tail)
        shown.__dict__["peaks"] = pd.DataFrame({shown.statistic: [4.0, -9.0, 6.0], **places})
        assert shown.start() == [expected] * 3
