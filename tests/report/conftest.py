"""Output folders with reports, made once; pages in headless Chromium, from file://, with the network off."""

import shutil
import sys
from pathlib import Path

import pytest

from bidsapp.report.pages import write_group_report, write_overview, write_subject_report

sys.path.insert(0, str(Path(__file__).parent))
from example import Example  # noqa: E402


def write_reports(example):
    folder = example.write()
    write_subject_report(folder, "01")
    write_group_report(folder)
    write_overview(folder)
    return folder


@pytest.fixture(scope="session")
def output_folder(tmp_path_factory):
    return write_reports(Example(tmp_path_factory.mktemp("out") / "out", n_subjects=4))


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory):
    return write_reports(Example(tmp_path_factory.mktemp("hostile") / "out", n_subjects=4, hostile=True))


ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """A page that was opened, what it asked for and what it complained about."""

    def __init__(self, browser, path, *, width=1280, scripts=True, **options):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=scripts, offline=True, **options
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


def open_each(browser):
    """Yield what opens pages, and close them afterwards."""
    opened = []

    def open_it(path, **options):
        opened.append(Visit(browser, path, **options))
        return opened[-1]

    yield open_it
    for each in opened:
        each.context.close()


@pytest.fixture(scope="session")
def open_page(browser):
    """Open a page that several tests share; they leave it in any state."""
    yield from open_each(browser)


@pytest.fixture
def visit(browser):
    """Open a page for one test."""
    yield from open_each(browser)
