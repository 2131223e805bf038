"""The pages in headless Chromium: they fit, read without scripts, and the linked view does what it says."""

import shutil

import numpy as np
import pandas as pd
import pytest
from linked_pages import CONTRAST, READY_MS, count, enter, number, picture, place, settle, start

from bidsapp.report.pages import write_group_report
from bidsapp.report.sections.contrast.columns import name_p

PAGES = ("sub-01.html", "group.html", CONTRAST, "index.html")
WIDTHS = (1280, 400)
ROWS = "tr[data-x]"


@pytest.fixture(scope="module")
def viewer(open_page, output_folder):
    """The group page with its first view drawn; the tests leave it in any state."""
    visited = open_page(output_folder / CONTRAST)
    start(visited.page)
    visited.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    return visited


@pytest.fixture
def page(viewer):
    """That page with the main threshold chosen again."""
    enter(viewer.page, ".rule", "change", "0")
    return viewer.page


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_page_loads_without_faults_asks_for_nothing_and_fits_the_window(visit, output_folder, name, width):
    visited = visit(output_folder / name, width=width)
    if name == CONTRAST:
        start(visited.page)
    visited.page.wait_for_timeout(200)
    assert visited.faults == []
    assert visited.outside() == []
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_captions_of_wide_tables_are_read_without_scrolling(visit, output_folder, width):
    visited = visit(output_folder / "sub-01.html", width=width)
    beyond = visited.page.evaluate(
        """[...document.querySelectorAll(".scroll caption")].map(caption =>
        caption.getBoundingClientRect().right - caption.closest(".scroll").getBoundingClientRect().right)"""
    )
    assert beyond
    assert max(beyond) <= 1


@pytest.mark.parametrize("name", PAGES)
def test_page_reads_without_scripts(visit, output_folder, name):
    page = visit(output_folder / name, scripts=False).page
    assert page.locator("svg.figure:visible").count() > 3
    assert page.locator("canvas:visible, .linked select:visible").count() == 0
    assert page.locator("table:visible").count() >= 1
    if name == CONTRAST:
        assert page.locator(".linked-still svg.figure:visible").count() >= 2


def test_hostile_names_run_nothing(visit, hostile_folder):
    visited = visit(next(hostile_folder.glob("group/*contrast-scriptAlert*_report.html")))
    visited.page.on("dialog", lambda dialog: visited.faults.append(dialog.message))
    start(visited.page)
    assert visited.faults == []
    assert visited.page.locator("script[src]").count() == 0


def test_view_draws_anatomy_map_and_cortex(viewer):
    for selector in (".plane.x canvas", ".plane.y canvas", ".plane.z canvas", ".surface"):
        pixels = picture(viewer.page, selector).reshape(-1, 4)
        rgb, opaque = pixels[:, :3], pixels[:, 3] > 200
        grey = (np.ptp(rgb, axis=1) < 12) & (rgb.max(axis=1) > 60) & opaque
        orange = (rgb[:, 0] - rgb[:, 2] > 60) & (rgb[:, 0] > 120) & opaque
        assert grey.mean() > 0.05, selector
        assert orange.sum() > 20, selector
    assert viewer.faults == []
    assert viewer.outside() == []


def test_slices_share_one_scale(page):
    sizes = [page.locator(f".linked-live .plane.{axis} canvas").first.bounding_box() for axis in "xyz"]
    assert sizes[1]["height"] == pytest.approx(sizes[0]["height"], abs=1.5)
    assert sizes[2]["width"] == pytest.approx(sizes[1]["width"], abs=1.5)
    assert sizes[2]["height"] == pytest.approx(sizes[0]["width"], abs=1.5)


def test_slider_sets_an_own_threshold_in_the_unit_of_the_statistic_and_in_p(page):
    before, counted = picture(page), count(page)
    enter(page, ".cut", "input", "1.96")
    assert page.locator(".linked-live .rule").first.input_value() == "-1"
    assert count(page) > counted
    assert not np.array_equal(picture(page), before)
    assert number(page.locator(".linked-live .cut-p").first.input_value()) == pytest.approx(0.025, abs=0.001)
    assert page.locator(".linked-live .cut-p-label").first.text_content().strip() == "one-sided p"
    enter(page, ".cut-p", "change", ".001")
    assert number(page.locator(".linked-live .cut-value").first.input_value()) == pytest.approx(
        3.09, abs=0.01
    )
    more = count(page)
    enter(page, ".cut-value", "change", "5")
    assert count(page) < more
    assert (
        "z| ≥ 5.00, uncorrected p < .0001, one-sided in each tail"
        in page.locator(".linked-live .count").first.text_content()
    )


def test_counts_of_the_thresholds_are_those_of_the_page(page):
    options = page.locator(".linked-live .rule").first.locator("option").all_text_contents()
    rows = page.locator("table.rules tbody tr")
    told = [int(rows.nth(k).locator("td").nth(1).text_content()) for k in range(rows.count())]
    assert len(told) == len(options) - 1
    for k, n in enumerate(told):
        enter(page, ".rule", "change", str(k))
        assert count(page) == n
        assert f"({n} voxel" in options[k]


READ_ROWS = """() => [
  ...document.querySelectorAll("tr[data-x]")
].map(row => {
  const table = row.closest("table"), place = ["x", "y", "z"].map(axis => Number(row.dataset[axis]));
  const names = [...table.tHead.rows[1].cells].map(head => head.dataset.name);
  const cells = [...row.cells].map(cell => cell.textContent.trim());
  return { method: table.dataset.method, place, names, cells };
})"""
READ_PANEL = """() => {
  const view = document.querySelector(".linked-live"), p = {}, measures = {};
  const words = (element, inner) => element.querySelector(inner).textContent;
  view.querySelectorAll("[data-method]").forEach(rule => { p[rule.dataset.method] = words(rule, ".p"); });
  for (const row of view.querySelectorAll(".measures tr")) {
    measures[words(row, "th")] = words(row, "td");
  }
  return { p, measures };
}"""


def test_panel_has_what_the_table_has_for_every_row(page):
    rows, compared = page.evaluate(READ_ROWS), 0
    assert len(rows) > 20
    for k, row in enumerate(rows):
        told = dict(zip(row["names"], row["cells"], strict=True))
        page.locator(ROWS).nth(k).locator("button.jump").dispatch_event("click")
        settle(page)
        assert place(page) == row["place"]
        panel = page.evaluate(READ_PANEL)
        assert [name for name in told if name.endswith("(main)")] == ["p height (main)"][
            : row["method"] == "maxT"
        ]
        for method, shown in panel["p"].items():
            name = name_p(method) + " (main)" * (method == row["method"] == "maxT")
            if told.get(name):
                assert shown == told[name], (row, panel)
                compared += 1
        value, interval = panel["measures"]["mean, % signal change"].removesuffix("]").split(" [")
        assert (value, interval) == (told["mean, %"], told["95 % interval"])
        assert panel["measures"]["Hedges\u2019 g"].partition(" [")[0] == told["g"]
        assert panel["measures"]["z"] == told["z"]
    assert compared > 3 * len(rows)


def test_row_chooses_the_threshold_of_its_table(page):
    table = page.locator("table.peaks").nth(1)
    table.locator("button.jump").first.click()
    settle(page)
    chosen = page.locator(".linked-live .rule").first.evaluate("s => s.selectedOptions[0].textContent")
    assert "uncorrected" in chosen
    assert table.locator("tr.chosen").count() == 1


def test_click_in_a_slice_moves_everything_there(page):
    page.locator(".linked-live").first.scroll_into_view_if_needed()
    box = page.locator(".linked-live .plane.z canvas").first.bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    settle(page)
    first, before = place(page), picture(page, ".plane.x canvas")
    page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"])
    settle(page)
    second = place(page)
    assert second[0] - first[0] == pytest.approx(0.4 * 162, abs=12)
    assert second[1] < first[1]
    assert second[2] == first[2]
    assert not np.array_equal(picture(page, ".plane.x canvas"), before)


def test_keys_move_the_cross_hair_by_voxels(page):
    canvas = page.locator(".linked-live .plane.y canvas").first
    start_at = place(page)
    canvas.focus()
    for key, axis, by in (
        ("ArrowRight", 0, 8),
        ("ArrowUp", 2, 8),
        ("PageUp", 1, 8),
        ("Shift+ArrowLeft", 0, -32),
    ):
        page.keyboard.press(key)
        settle(page)
        start_at[axis] += by
        assert place(page) == start_at


def test_brackets_go_through_the_peaks_and_slash_to_the_coordinate(page):
    page.locator(".linked-live .plane.y canvas").first.focus()
    page.keyboard.press("]")
    settle(page)
    first = place(page)
    page.keyboard.press("]")
    settle(page)
    assert place(page) != first
    page.keyboard.press("[")
    settle(page)
    assert place(page) == first
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.className").startswith("at-x")
    page.keyboard.type("8 -64 0")
    page.keyboard.press("Enter")
    settle(page)
    assert place(page) == [8, -64, 0]


def test_coordinate_is_typed_and_a_place_outside_is_said_to_be_untested(page):
    enter(page, ".at-x", "change", "-38, -22, 52")
    assert place(page) == pytest.approx([-38, -22, 52], abs=4)
    enter(page, ".at-x", "change", "66, 60, −30")
    assert "outside the tested voxels" in page.locator(".linked-live .region").first.text_content()
    assert page.locator(".linked-live .rules-here div").count() == 0
    enter(page, ".at-x", "change", "-38, −22, 52")
    assert page.locator(".linked-live .rules-here div").count() == 5


@pytest.mark.parametrize(
    ("field", "typed", "why"),
    [
        (".at-x", "999", "x goes from"),
        (".at-y", "abc", "no coordinate in mm"),
        (".cut-p", "2", "no p above 0, up to .500"),
        (".cut-p", "abc", "no p above 0"),
        (".cut-p", "1e-300", "below the smallest p of the map"),
        (".cut-value", "-3", "no number from 0 to"),
        (".cut-value", "999", "no number from 0 to"),
    ],
)
def test_what_cannot_be_taken_is_refused_beside_its_field(page, field, typed, why):
    enter(page, ".at-x", "change", "-38, -22, 52")
    enter(page, ".cut", "input", "3")
    before = place(page), count(page), page.locator(f".linked-live {field}").first.input_value()
    enter(page, field, "change", typed)
    refused = page.locator(".linked-live .refused:not([hidden])")
    assert refused.all_text_contents() == [refused.first.text_content()]
    assert refused.first.text_content().startswith(f"{typed}: ")
    assert why in refused.first.text_content()
    assert (place(page), count(page), page.locator(f".linked-live {field}").first.input_value()) == before
    enter(page, ".at-x", "change", "-38, -22, 52")
    enter(page, ".cut", "input", "3")
    assert refused.count() == 0


def test_click_on_the_cortex_moves_the_cross_hair_and_dragging_turns_it(page):
    page.locator(".linked-live .cortex-bar button[data-view=outside]").first.click()
    settle(page)
    box = page.locator(".linked-live .surface").first.bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.4 * box["height"])
    settle(page)
    left, before = place(page), picture(page, ".surface")
    assert left[0] < 0
    assert page.locator(".linked-live .far").first.text_content() == ""
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.4 * box["height"])
    settle(page)
    assert place(page)[0] > 0
    here = place(page)
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    page.mouse.up()
    settle(page)
    assert place(page) == here
    assert not np.array_equal(picture(page, ".surface"), before)


def test_buttons_and_arrows_turn_the_cortex(page):
    seen = set()
    for view in ("outside", "inside", "above", "below", "back", "front"):
        page.locator(f".linked-live .cortex-bar button[data-view={view}]").first.click()
        settle(page)
        seen.add(picture(page, ".surface").tobytes())
    page.locator(".linked-live .surface").first.focus()
    page.keyboard.press("ArrowLeft")
    settle(page)
    seen.add(picture(page, ".surface").tobytes())
    assert len(seen) == 7


def coloured(page):
    pixels = picture(page)
    return int(((np.ptp(pixels[..., :3], axis=-1) > 60) & (pixels[..., 3] > 0)).sum())


def test_opacity_and_what_is_below_the_threshold_are_choices(page):
    page.locator(ROWS).first.locator("button.jump").click()
    settle(page)
    enter(page, ".faded", "change", False)
    alone = coloured(page)
    assert alone > 0
    enter(page, ".opacity", "input", "0.2")
    assert coloured(page) < alone
    enter(page, ".opacity", "input", "1")
    assert coloured(page) == alone
    before = picture(page)
    enter(page, ".faded", "change", True)
    assert not np.array_equal(picture(page), before)


def test_effects_of_the_subjects_are_those_of_the_table(page, output_folder):
    table = next((output_folder / "group").glob("*incongruent*maxT_effects.tsv"))
    known = pd.read_csv(table, sep="\t").iloc[0]
    enter(page, ".at-x", "change", " ".join(str(known[f"peak_{axis}"]) for axis in "xyz"))
    page.wait_for_selector(".linked-live .plot .dot", timeout=READY_MS)
    told = dict(
        words.split(": ") for words in page.locator(".linked-live .plot .dot title").all_text_contents()
    )
    subjects = [name for name in known.index if name.startswith("sub-")]
    assert sorted(told) == subjects
    spread = np.std(known[subjects].astype(float), ddof=1)
    for name in subjects:
        assert number(told[name]) == pytest.approx(known[name], abs=0.02 * spread + 0.0006)


def test_atlases_are_named_at_the_cross_hair(page):
    enter(page, ".at-x", "change", "-38 -22 52")
    assert "Postcentral L" in page.locator(".linked-live .atlases").first.text_content()


def test_screen_readers_are_told_where_the_cross_hair_is(page):
    enter(page, ".at-x", "change", "-38 -22 52")
    page.wait_for_function("document.querySelector('.linked-live .live').textContent.includes('z ')")
    assert page.get_attribute(".linked-live .live", "aria-live") == "polite"


@pytest.fixture(scope="module")
def crowded_folder(output_folder, tmp_path_factory):
    """The same results in a page that has no room for the subjects' effects."""
    folder = tmp_path_factory.mktemp("crowded") / "out"
    shutil.copytree(output_folder, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bidsapp.report.linked.page.MAX_PAGE_BYTES", 0)
        write_group_report(folder)
    return folder


def test_data_beside_the_page_are_read_at_the_first_click(visit, crowded_folder):
    visited = visit(crowded_folder / CONTRAST)
    page = visited.page
    start(page)
    assert "read at the first click" in page.locator(".linked-live .plot-note").first.text_content()
    page.locator(ROWS).first.locator("button.jump").click()
    page.wait_for_selector(".linked-live .plot .dot", timeout=READY_MS)
    assert visited.faults == []
    assert all(url.startswith("file:") and url.endswith(".js") for url in visited.outside())


def test_page_says_what_is_missing_beside_it(visit, crowded_folder, tmp_path):
    shutil.copy(crowded_folder / CONTRAST, tmp_path / "page.html")
    page = visit(tmp_path / "page.html").page
    page.locator(".linked").first.scroll_into_view_if_needed()
    page.wait_for_selector(".linked-failed", timeout=READY_MS)
    assert "_view_maps.js is not beside this page" in page.locator(".linked-failed").first.text_content()
    assert page.locator(".linked-still svg.figure:visible").count() >= 2


def test_page_without_the_effects_says_so_and_has_the_rest(visit, crowded_folder, tmp_path):
    shutil.copytree(crowded_folder, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*_view_effects.js"):
        path.unlink()
    page = visit(tmp_path / "out" / CONTRAST).page
    start(page)
    page.locator(ROWS).first.locator("button.jump").click()
    page.wait_for_function(
        "document.querySelector('.linked-live .plot-note').textContent.includes('keep both')"
    )
    assert page.locator(".linked-live .measures tr").count() >= 2


def test_dark_pages_print_light(visit, output_folder):
    page = visit(output_folder / CONTRAST, color_scheme="dark").page
    start(page)
    dark = picture(page, ".surface")
    page.emulate_media(media="print")
    settle(page)
    light = picture(page, ".surface")
    assert light.shape[1] > 1.5 * dark.shape[1]
    assert light[light[..., 3] > 0][:, :3].mean() > dark[dark[..., 3] > 0][:, :3].mean() + 5
    assert page.locator(".linked-live canvas:visible").count() >= 4


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_on_paper(visit, output_folder, name):
    page = visit(output_folder / name).page
    page.emulate_media(media="print")
    widest = page.evaluate(
        "Math.max(...Array.from(document.querySelectorAll('svg.figure'), (f) => f.clientWidth - "
        "parseFloat(f.style.getPropertyValue('--natural'))))"
    )
    assert widest <= 1
    assert page.locator(".bar:visible, .linked select:visible").count() == 0
