"""Charts, matrices, distributions, scales: numbers end where they belong."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from bidsapp.outputs.saved.participant import EventRecord
from bidsapp.report.drawing.charts import (
    draw_against_expected,
    draw_carpet,
    draw_timeline,
    draw_traces,
    room_for,
)
from bidsapp.report.drawing.distributions import draw_null, draw_spark, draw_strip
from bidsapp.report.drawing.matrices import draw_contrasts, draw_correlations, draw_design
from bidsapp.report.drawing.scale import Scale, round_ticks, short
from bidsapp.report.drawing.svg import cut

TIMES = np.arange(20) * 2.0
MATRIX = np.column_stack([np.sin(TIMES), TIMES, np.ones(20)])
EVENTS = [
    EventRecord(onset=3.0, duration=2.0, trial_type="a & <b>"),
    EventRecord(onset=-1.0, duration=0, trial_type="c"),
]
TISSUES = ("grey matter", "white matter", "CSF")
LEFT_OVER = draw_against_expected(
    TIMES,
    np.zeros(20),
    {name: (np.sin(TIMES), np.full(20, 0.1)) for name in TISSUES},
    alt="a",
    names=("lag (s)", "r"),
)
STRIP = {"": ([("sub-01", 1.0), ("sub-<2>", 3.0)], (2.0, -1.0, 5.0))}


def words(figure):
    root = ElementTree.fromstring(figure.file())
    return ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    "figure",
    [
        draw_traces(TIMES, {"x": np.sin(TIMES), "y": np.full(20, np.nan)}, unit="mm", marks=[4.0], alt="a"),
        draw_traces(TIMES, {"only": np.zeros(20)}, unit="mm", alt="a"),
        draw_carpet(TIMES, MATRIX, ["a", "b", "<c>"], axis="time (s)", alt="a"),
        draw_timeline(EVENTS, 40.0, alt="a"),
        LEFT_OVER,
        draw_design(MATRIX, ["a", "b", "<c>"], alt="a"),
        draw_contrasts(np.array([[1, -1, 0], [0, 0, 0]]), ["a", "b", "c"], ["one", "none"], alt="a"),
        draw_correlations(np.eye(3), ["a", "b", "c"], alt="a"),
        draw_null([1.0, 2.0, 2.0], 5.0, cutoff=3.0, name="largest |t|", alt="a"),
        draw_null([1.0, 1.0], 1.0, name="all alike", alt="a"),
        draw_strip(STRIP, unit="%", title="t", alt="a"),
        draw_spark(-1.0, -2.0, 3.0, alt="a"),
        draw_spark(0.0, 0.0, 0.0, alt="a"),
    ],
)
def test_figure_is_well_formed_with_finite_places(figure):
    text = figure.file()
    ElementTree.fromstring(text)
    assert not re.search(r"[\"\s](nan|inf)", text)


def test_names_are_shown_as_text():
    assert "a & <b>" in words(draw_timeline(EVENTS, 40.0, alt="a"))
    assert "sub-<2>" in draw_strip(STRIP, unit="%", title="t", alt="a").file().replace("&lt;", "<").replace(
        "&gt;", ">"
    )


@pytest.mark.parametrize("n", [10, 60, 100])
def test_regressors_are_named_in_full_inside_their_figure(n):
    names = [f"non_steady_state_outlier{i:03d}" for i in range(n)]
    matrix = np.random.default_rng(0).normal(size=(120, n))
    figure = draw_carpet(np.arange(120.0), matrix, names, axis="volume", alt="a", room=room_for(names))
    assert words(figure)[-n:] == names
    root = ElementTree.fromstring(figure.file())
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))[-n:]
    # Letters of this face are about .56 of its size wide.
    assert all(float(t.get("x")) + 0.56 * 9 * len(t.text) < figure.width for t in texts)
    assert np.diff([float(t.get("y")) for t in texts]).min() >= float(texts[0].get("font-size"))


def test_charts_with_the_same_room_have_the_same_axis():
    figures = [
        draw_carpet(TIMES, MATRIX, ["a", "b", "c"], axis="time (s)", alt="a", room=200),
        draw_traces(TIMES, {"x": np.sin(TIMES)}, unit="mm", alt="a", room=200),
        draw_timeline(EVENTS, 40.0, alt="a", room=200),
    ]
    assert len({figure.width for figure in figures}) == 1
    assert (
        len(
            {
                re.findall(r'x2="([\d.]+)" y2="[\d.]+" stroke="[^"]+" stroke-width="1"', f.file())[0]
                for f in figures
            }
        )
        == 1
    )


def test_weights_are_written_in_their_cells():
    drawn = words(draw_contrasts(np.array([[1, -0.5]]), ["a", "b"], ["one"], alt="a"))
    assert {"1", "−.5", "a", "b", "one"} <= set(drawn)


def test_null_names_observed_value_and_cutoff():
    drawn = words(draw_null([1.0, 2.0], 5.25, cutoff=3.0, name="largest |t|", alt="a"))
    assert {"observed 5.25", "cut-off 3", "largest |t|"} <= set(drawn)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (0.001, 0.0042), (12, 1234), (-1e-9, 1e-9)])
def test_ticks_are_few_and_inside(low, high):
    ticks = round_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert low - 1e-9 <= min(ticks)
    assert max(ticks) <= high + 1e-9


def test_a_scale_places_values_between_its_ends_with_room_beyond():
    plain, padded = Scale(0.0, 4.0, 10.0, 50.0), Scale(0.0, 4.0, 10.0, 50.0, pad=2.0)
    assert [plain(value) for value in (0, 1, 4)] == [10, 20, 50]
    assert [padded(value) for value in (-2, 0, 6)] == [10, 20, 50]
    assert padded.ticks(4) == [-2, 0, 2, 4, 6]
    assert Scale(3.0, 3.0, 10.0, 50.0)(3.0) == 10


def test_ticks_of_an_empty_range_are_its_value():
    assert round_ticks(3, 3) == [3]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-1.5, "−1.5"),
        (1234.4, "1234"),
        (236288, "236288"),
        (0.00001, "1.0e−05"),
        (None, "n/a"),
        (float("nan"), "n/a"),
    ],
)
def test_numbers_are_short(value, shown):
    assert short(value) == shown


def test_long_names_are_cut_in_the_middle():
    assert cut("abcdefghij", 10) == "abcdefghij"
    assert cut("abcdefghijk", 8) == "abc…hijk"


def test_curves_of_tissues_fit_a_narrow_window():
    assert LEFT_OVER.width <= 360
    assert [name for name in words(LEFT_OVER) if name in TISSUES] == list(TISSUES)
    starts = [float(x) for x in re.findall(r'<text [^>]*?x="([\d.]+)"', LEFT_OVER.body)]
    assert max(starts) < 340
