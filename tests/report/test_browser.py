"""The pages in headless Chromium, from file://, with the network off."""

import shutil
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader",
]  # fmt: skip
PAGES = ("sub-01.html", "group.html", "index.html")
WIDTHS = (1280, 400)
READY_MS = 60_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """A page that was opened, what it asked for and what it complained about."""

    def __init__(self, browser, path, *, width=1280, scripts=True):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=scripts, offline=True
        )
        self.page, self.requests, self.faults = self.context.new_page(), [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self.listen)
        self.page.goto(path.as_uri())

    def listen(self, message):
        if message.type == "error":
            self.faults.append(message.text)

    def outside(self):
        """Return the requests that left the page: neither itself nor data in it."""
        return [url for url in self.requests[1:] if not url.startswith(("data:", "blob:"))]


@pytest.fixture
def visit(browser):
    opened = []

    def open_page(path, **options):
        opened.append(Visit(browser, path, **options))
        return opened[-1]

    yield open_page
    for each in opened:
        each.context.close()


@pytest.fixture(scope="module")
def viewer(browser, output_folder):
    """The group page with the viewer open on the first contrast; the tests leave it in any state."""
    visited = Visit(browser, output_folder / "group.html")
    visited.page.click(".explore .open >> nth=0")
    visited.page.wait_for_selector(".viewer[data-ready]", timeout=READY_MS)
    yield visited
    visited.context.close()


def pixels_of_canvas(page):
    """Return what the canvas shows, shape (n, 3)."""
    picture = Image.open(BytesIO(shot(page))).convert("RGB")
    return np.asarray(picture).reshape(-1, 3).astype(int)


def shot(page):
    """Return the bytes of a picture of the viewer's canvas."""
    page.wait_for_timeout(300)
    return page.locator(".viewer canvas").screenshot()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_page_loads_without_faults_asks_for_nothing_and_fits_the_window(visit, output_folder, name, width):
    visited = visit(output_folder / name, width=width)
    visited.page.wait_for_timeout(200)
    assert visited.faults == []
    assert visited.outside() == []
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_captions_of_wide_tables_are_read_without_scrolling(visit, output_folder, width):
    visited = visit(output_folder / "group.html", width=width)
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
    assert page.locator(".explore:visible").count() == 0
    assert page.locator("table:visible").count() >= 1


def test_hostile_names_run_nothing(visit, hostile_folder):
    visited = visit(hostile_folder / "group.html")
    visited.page.on("dialog", lambda dialog: visited.faults.append(dialog.message))
    visited.page.click(".explore .open >> nth=2")
    visited.page.wait_for_selector(".viewer[data-ready]", timeout=READY_MS)
    assert visited.faults == []
    assert visited.page.locator("script[src]").count() == 0


def test_viewer_draws_anatomy_and_map(viewer):
    pixels = pixels_of_canvas(viewer.page)
    grey = (np.ptp(pixels, axis=1) < 12) & (pixels.max(axis=1) > 60)
    orange = (pixels[:, 0] - pixels[:, 2] > 60) & (pixels[:, 0] > 120)
    assert grey.mean() > 0.05
    assert orange.sum() > 20
    assert viewer.faults == []
    assert viewer.outside() == []


def test_slider_changes_the_view_and_the_count(viewer):
    page = viewer.page
    before, counted = shot(page), page.text_content(".viewer output")
    page.evaluate(
        "() => { const s = document.querySelector('.viewer input'); s.value = s.max * 0.9;"
        " s.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    assert shot(page) != before
    assert page.text_content(".viewer output") != counted


def test_method_changes_the_view(viewer):
    page = viewer.page
    before = shot(page)
    page.select_option(".viewer .methods", label="Family-wise error, cluster size")
    assert shot(page) != before


def test_count_in_the_viewer_is_that_of_the_table(viewer):
    page = viewer.page
    for title in ("Bonferroni", "Family-wise error, cluster size"):
        page.select_option(".viewer .methods", label=title)
        shown = int(page.text_content(".viewer output").split(":")[-1].split()[0])
        caption = page.locator("figcaption", has_text=title).first.text_content()
        assert f"{shown} voxels in" in caption


def test_click_on_a_row_moves_the_cross_hair_there(viewer):
    page = viewer.page
    row = page.locator("section.level-2 table.peaks tr[data-x]:visible").nth(2)
    before, place = shot(page), [float(row.get_attribute(f"data-{axis}")) for axis in "xyz"]
    row.click()
    page.wait_for_timeout(300)
    read = page.text_content(".viewer .readout").replace("−", "-").split(" mm")[0]
    assert [float(v) for v in read.split(",")] == pytest.approx(place, abs=1)
    assert shot(page) != before
    assert "Effect of each subject" in page.inner_html(".viewer .strip")


def test_row_of_another_contrast_moves_the_viewer_there(viewer):
    page = viewer.page
    section = page.locator("section.level-2").nth(1)
    section.locator("table.clusters button.jump:visible").first.press("Enter")
    page.wait_for_function("document.querySelector('.viewer').dataset.ready.endsWith('-2')", timeout=READY_MS)
    assert section.locator(".viewer").count() == 1


def test_keys_move_the_cross_hair(viewer):
    page = viewer.page
    before = page.text_content(".viewer .readout")
    page.focus(".viewer canvas")
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    page.wait_for_timeout(200)
    assert page.text_content(".viewer .readout") != before


def test_without_webgl_the_page_says_so(browser, visit, output_folder):
    visited = visit(output_folder / "group.html")
    visited.page.evaluate("HTMLCanvasElement.prototype.getContext = () => null")
    visited.page.click(".explore .open >> nth=0")
    visited.page.wait_for_function(
        "document.querySelector('.viewer .state').textContent.includes('cannot run')"
    )
    assert visited.faults == []


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_on_paper(visit, output_folder, name):
    page = visit(output_folder / name).page
    page.emulate_media(media="print")
    widest = page.evaluate(
        "Math.max(...Array.from(document.querySelectorAll('svg.figure'), (f) => f.clientWidth - "
        "parseFloat(f.style.getPropertyValue('--natural'))))"
    )
    assert widest <= 1
    assert page.locator(".contents:visible, .explore:visible").count() == 0
