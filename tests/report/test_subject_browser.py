"""The page of a subject in headless Chromium: its linked view has the combined map and those of the runs."""

import shutil

import numpy as np
import pytest
from linked_pages import READY_MS, count, enter, picture, settle, start
from test_browser import READ_PANEL

from bidsapp.report.pages import write_subject_report

READ_ROWS = """() => [
  ...document.querySelector("section:has(.linked)").querySelectorAll("tr[data-x]")
].map(row => {
  const table = row.closest("table"), words = all => [...all].map(cell => cell.textContent.trim());
  return { method: table.dataset.method, names: words(table.tHead.rows[0].cells), cells: words(row.cells) };
})"""


@pytest.fixture
def folder(output_folder, tmp_path):
    shutil.copytree(output_folder, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture(scope="module")
def viewer(open_page, output_folder, tmp_path_factory):
    """The page of a subject of whom both thresholds leave something."""
    folder = tmp_path_factory.mktemp("subject") / "out"
    shutil.copytree(output_folder, folder)
    visited = open_page(write_subject_report(folder, "02"))
    start(visited.page)
    visited.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    return visited


@pytest.fixture
def page(viewer):
    choose(viewer.page, 0)
    enter(viewer.page, ".rule", "change", "0")
    return viewer.page


def choose(page, layer):
    """Choose a map, and wait until it is there."""
    enter(page, ".layer", "change", str(layer))
    page.wait_for_timeout(300)
    settle(page)


def test_view_draws_without_faults_and_asks_for_nothing(viewer):
    assert viewer.faults == []
    assert viewer.outside() == []
    assert picture(viewer.page, ".surface")[..., 3].any()
    assert viewer.page.locator(".linked-live .plot-note").first.text_content() == ""


def test_panel_has_what_the_tables_have_for_every_row(page):
    rows = page.evaluate(READ_ROWS)
    assert len({row["method"] for row in rows}) == 2
    assert len(rows) >= 2
    for k, row in enumerate(rows):
        page.evaluate(
            "k => document.querySelector('section:has(.linked)').querySelectorAll('tr[data-x]')[k].click()", k
        )
        settle(page)
        panel, cells = page.evaluate(READ_PANEL), dict(zip(row["names"], row["cells"], strict=True))
        assert page.locator(".linked-live .rule").first.input_value() == str(
            list(panel["p"]).index(row["method"])
        )
        assert list(panel["p"].values()) == [cells["q"], cells["p"]]
        assert panel["measures"]["z"] == row["cells"][row["names"].index("z")]
        effect = panel["measures"]["effect, % signal change"]
        assert effect == f"{cells['Effect']} [{cells['95 % interval']}]"


@pytest.mark.parametrize("width", [1280, 400])
def test_tables_of_peaks_need_no_scrolling_to_the_side(visit, folder, width):
    page = visit(write_subject_report(folder, "02"), width=width).page
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    wide = page.evaluate(
        "[...document.querySelectorAll('table.peaks')].map(t => t.offsetWidth - t.parentNode.clientWidth)"
    )
    assert len(wide) >= 3
    assert max(wide) <= 0


def test_runs_are_maps_to_choose(page):
    options = page.locator(".linked-live .layer").first.locator("option").all_text_contents()
    assert options == ["combined", "task stroop, run 1", "task stroop, run 2"]
    enter(page, ".faded", "change", True)
    seen, counts = [], []
    for layer in (1, 2, 0):
        choose(page, layer)
        seen.append(picture(page).tobytes())
        counts.append(count(page))
    assert len(set(seen)) == 3
    assert counts[2] == page.evaluate(
        "JSON.parse(document.querySelector('.linked-view').textContent).rules[0].n"
    )
    choose(page, 1)
    assert picture(page).tobytes() == seen[0]
    assert "given for the combined map" in page.locator(".linked-live .plot-note").first.text_content()
    assert page.locator(".linked-live .measures tr").first.text_content().startswith("z")


def test_a_map_keeps_place_and_own_threshold_of_the_one_before(page):
    enter(page, ".cut-value", "change", "2.5")
    enter(page, ".at-x", "change", "-38 -22 52")
    fields = [".at-x", ".at-y", ".at-z", ".rule", ".cut-value"]
    read = f"{fields}.map(field => document.querySelector('.linked-live ' + field).value)"
    before, counted = page.evaluate(read), count(page)
    choose(page, 2)
    assert page.evaluate(read) == before
    assert count(page) != counted


def test_page_says_which_map_is_missing_beside_it(visit, folder, monkeypatch):
    monkeypatch.setattr("bidsapp.report.linked.page.MAX_PAGE_BYTES", 0)
    path = write_subject_report(folder, "02")
    for run in folder.rglob("*run-1*_view_maps.js"):
        run.unlink()
    page = visit(path).page
    start(page)
    enter(page, ".faded", "change", True)
    shown = picture(page)
    enter(page, ".layer", "change", "1")
    page.wait_for_function("document.querySelector('.layer-note').textContent", timeout=READY_MS)
    assert "run-1" in page.locator(".layer-note").first.text_content()
    assert page.locator(".linked-live .layer").first.input_value() == "0"
    assert np.array_equal(picture(page), shown)
    choose(page, 2)
    assert not np.array_equal(picture(page), shown)
    assert page.locator(".layer-note").first.text_content() == ""


def test_native_space_has_slices_and_no_cortex(visit, folder):
    path = folder / "logs/sub-01_participant.json"
    path.write_text(path.read_text().replace('"space": "MNI152NLin2009cAsym"', '"space": "T1w"'))
    visited = visit(write_subject_report(folder, "01"))
    start(visited.page)
    assert visited.faults == []
    assert visited.page.locator(".linked-live .cortex:visible").count() == 0
    assert picture(visited.page)[..., 3].any()
