"""Views of every kind of test in headless Chromium, from simulated maps."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from linked_pages import enter, number, picture, place, settle, start

from bidsapp.report.linked.page import lay_out
from bidsapp.report.linked.view import pack_view
from bidsapp.report.numbers import size
from bidsapp.report.render import Heading, render, show_p

sys.path.insert(0, str(Path(__file__).parent))
from views import N_SHUFFLES, POSITION, TIED, make_view  # noqa: E402

KINDS = ("strip", "cells", "scatter", "F")
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Views</title>
<style>{style}</style></head>
<body><main><section><div class="linked" data-anchor="view-{kind}"><div class="linked-still">still</div></div>
</section></main>{end}</body></html>"""

READ_MEASURES = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"


@pytest.fixture(scope="module")
def pages(open_page, tmp_path_factory):
    """A page of each kind, opened when it is first asked for."""
    folder, opened = tmp_path_factory.mktemp("kinds"), {}

    def open_kind(kind):
        if kind not in opened:
            style = render(
                "page.html", heading=Heading("", ""), sections=[], symbols="", script="", version=""
            )
            style = style.partition("<style>")[2].partition("</style>")[0]
            end = lay_out([(pack_view(make_view(kind)), "x.js")], size=0).html
            path = folder / f"{kind}.html"
            path.write_text(PAGE.format(style=style, kind=kind, end=end), encoding="utf-8")
            opened[kind] = open_page(path)
            start(opened[kind].page)
            opened[kind].page.wait_for_selector(".plot svg")
        return opened[kind]

    return open_kind


@pytest.mark.parametrize("kind", KINDS)
def test_view_of_each_kind_runs_without_faults(pages, kind):
    visited = pages(kind)
    assert visited.faults == []
    assert visited.outside() == []
    assert place(visited.page) == list(POSITION)


def hues(pixels):
    """Return how many pixels are warm and how many are cold."""
    rgb, opaque = pixels[..., :3], pixels[..., 3] > 0
    warm = (rgb[..., 0] - rgb[..., 2] > 40) & opaque
    # The cross-hair is green.
    cold = (rgb[..., 2] - rgb[..., 0] > 40) & (rgb[..., 2] >= rgb[..., 1]) & opaque
    return int(warm.sum()), int(cold.sum())


def test_f_has_one_colour_and_t_two(pages):
    found = {}
    for kind in ("strip", "F"):
        page = pages(kind).page
        enter(page, ".cut", "input", "0")
        pictures = [picture(page, selector) for selector in (".plane.z canvas", ".surface", ".colours")]
        found[kind] = np.array([hues(pixels) for pixels in pictures])
    assert found["strip"].min() > 50
    assert found["F"][:, 0].min() > 50
    # Where the cross-hair lies over a colour.
    assert found["F"][:, 1].max() < 5


def test_p_is_rounded_as_the_tables_are(pages):
    page = pages("strip").page
    enter(page, ".at-x", "change", " ".join(map(str, POSITION)))
    shown = page.locator("[data-method=maxT] .p").text_content()
    assert shown == show_p(TIED / N_SHUFFLES) == ".062"


def test_p_of_every_voxel_on_the_way_is_the_stored_one(pages):
    view, page = make_view("strip"), pages("strip").page
    positions = view.geometry.coordinates()
    for k in np.linspace(0, len(positions) - 1, 12).astype(int):
        enter(page, ".at-x", "change", " ".join(map(str, positions[k])))
        shown = [page.locator(f"[data-method={rule.method}] .p").text_content() for rule in view.rules]
        kept = [page.locator(f"[data-method={rule.method}].kept").count() == 1 for rule in view.rules]
        assert shown[:2] == [show_p(rule.p[k]) for rule in view.rules[:2]]
        assert shown[2] == f"{100 * view.rules[2].share[k]:.0f} %"
        assert kept == [bool(rule.survives[k]) for rule in view.rules]
        t = page.locator(".measures td").first.text_content()
        assert number(t) == pytest.approx(view.statistic.values[k], abs=0.0056)


def test_f_has_both_degrees_of_freedom_and_partial_r2(pages):
    view, page = make_view("F"), pages("F").page
    enter(page, ".at-x", "change", " ".join(map(str, POSITION)))
    point = int(np.argmin(np.square(view.geometry.coordinates() - POSITION).sum(axis=1)))
    rows = [row.text_content() for row in page.locator(".measures tr").all()]
    dof, value = view.statistic.dof_map[point], view.statistic.values[point]
    assert rows == [f"F(2, {dof:.1f}){value:.2f}", f"partial R²{view.size.values[point]:.2f}"]


def test_the_smallest_detectable_effect_has_three_digits(pages):
    view, page = make_view("strip"), pages("strip").page
    positions = view.geometry.coordinates()
    for k in (0, len(positions) // 2):
        enter(page, ".at-x", "change", " ".join(map(str, positions[k])))
        told = dict(page.eval_on_selector_all(".measures tr", READ_MEASURES))
        assert told["detectable here"] == f"{size(float(view.detectable.values[k]))} at 80 % power"
    assert "detectable here" not in dict(pages("F").page.eval_on_selector_all(".measures tr", READ_MEASURES))


def test_groups_differ_in_shape_and_the_difference_starts_at_its_group(pages):
    page = pages("strip").page
    enter(page, ".at-x", "change", " ".join(map(str, POSITION)))
    shapes = page.eval_on_selector_all(".plot .dot", "dots => dots.map(dot => dot.tagName)")
    assert sorted(shapes) == ["circle"] * 4 + ["path"] * 4
    words = page.locator(".plot text").all_text_contents()
    assert any("control (4)" in w for w in words)
    assert any("difference" in w for w in words)
    assert "95 %" in page.locator(".brackets:visible").text_content()


def test_repeated_measures_have_a_line_a_subject_and_means_with_intervals_within_subjects(pages):
    page, view = pages("cells").page, make_view("cells")
    enter(page, ".at-x", "change", " ".join(map(str, POSITION)))
    assert page.locator(".plot path.subject").count() == 8
    point = int(np.argmin(np.square(view.geometry.coordinates() - POSITION).sum(axis=1)))
    values = view.subjects.values[:, point].reshape(8, 3)
    within = values - values.mean(axis=1, keepdims=True) + values.mean()
    halves = 2.36462 * within.std(axis=0, ddof=1) * np.sqrt(3 / 2) / np.sqrt(8)
    # Upright lines: from the lower end of an interval to its upper one, in the units of the drawing.
    paths = page.eval_on_selector_all(
        ".plot path[stroke-width='2.4']", "all => all.map(one => one.getAttribute('d'))"
    )
    ends = [[float(v) for v in path.replace("M", "").replace("L", " ").split()] for path in paths]
    lengths = np.array([abs(b - d) for a, b, c, d in ends if a == c])
    # The first subject's line says what a unit is in the drawing.
    line = page.locator(".plot path.subject").first.get_attribute("d")
    heights = [float(spot.split()[1]) for spot in line[1:].split("L")]
    unit = abs(np.polyfit(values[0], heights, 1)[0])
    assert lengths == pytest.approx(2 * halves * unit, abs=0.6)


def test_lines_of_several_factors_join_the_levels_of_the_last(pages):
    page = pages("cells").page
    enter(page, ".at-x", "change", " ".join(map(str, POSITION)))
    before = page.locator(".plot path.subject").first.get_attribute("d")
    assert (before.count("M"), before.count("L")) == (1, 2)
    description = pack_view(replace(make_view("cells"), anchor="x")).description
    assert description["subjects"]["joined"] == 3
    view = make_view("cells")
    view = replace(view, subjects=replace(view.subjects, joined=2))
    assert pack_view(view).description["subjects"]["joined"] == 2


def test_covariate_has_a_scatter_with_the_tested_slope(pages):
    page = pages("scatter").page
    enter(page, ".at-x", "change", " ".join(map(str, POSITION)))
    assert page.locator(".plot .dot").count() == 8
    assert page.locator(".plot path.slope").count() == 2
    assert page.locator(".plot path.slope[stroke-dasharray]").count() == 1
    titles = page.locator(".plot .dot title").all_text_contents()
    assert any("age 55" in words for words in titles)
    assert any("age 0.3:" in words for words in titles)
    boxes = [
        dot.bounding_box()["x"] for dot in page.locator(".plot .dot").all() if "age" in dot.text_content()
    ]
    assert np.all(np.diff(boxes) > 0)


def test_page_states_the_size_and_the_error_of_the_effects(pages):
    packed = pack_view(make_view("strip"))
    size, error = sum(map(len, packed.effects.texts.values())), packed.description["subjects"]["error"]
    words = pages("strip").page.locator(".about").text_content()
    assert f"8 bits ({size / 1e6:.1f} MB; largest error {100 * error:.1f} % of the standard" in words


def test_other_anatomies_can_be_chosen(pages):
    page = pages("strip").page
    names = page.locator(".under option").all_text_contents()
    assert names == ["flat", "mean T1w"]
    page.select_option(".under", label="mean T1w")
    settle(page)
    assert page.locator(".under").evaluate("s => s.selectedIndex") == 1
    assert "anatomy: mean T1w." in page.locator(".about").text_content()


def test_first_picture_comes_before_the_rest(pages):
    timing = pages("strip").page.evaluate("JSON.parse(document.querySelector('.linked').dataset.timing)")
    assert 0 < timing["first"] < timing["all"]
