"""Pages on paper: printed by headless Chromium, the text of the PDF read back."""

import unicodedata

import pytest
from linked_pages import CONTRAST, start
from pypdf import PdfReader

PAGES = ("sub-01.html", "group.html", CONTRAST, "index.html")


@pytest.fixture(scope="module")
def printed(browser, open_page, output_folder, tmp_path_factory):
    """Print a page: the open page, and the PDF."""
    done = {}

    def print_it(name):
        if name not in done:
            page = open_page(output_folder / name).page
            if name == CONTRAST:
                start(page)
            path = tmp_path_factory.mktemp("print") / "page.pdf"
            page.pdf(path=path, format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "12mm"))
            done[name] = page, PdfReader(path)
        return done[name]

    return print_it


def words_of(text):
    """Return a text without spaces and ligatures."""
    return "".join(unicodedata.normalize("NFKC", text).split())


@pytest.mark.parametrize("name", PAGES)
def test_no_text_is_cut_at_the_right_edge(printed, name):
    _, document = printed(name)
    for page in document.pages:
        ends = []

        def visit(text, matrix, text_matrix, font, size, ends=ends):
            if text.strip():
                ends.append(matrix[0] * text_matrix[4] + matrix[4])

        page.extract_text(visitor_text=visit)
        assert max(ends, default=0) < float(page.mediabox.width)


@pytest.mark.parametrize("name", PAGES)
def test_every_heading_and_cell_is_on_paper(printed, name):
    page, document = printed(name)
    text = words_of("".join(each.extract_text() for each in document.pages))
    wanted = page.evaluate(
        """[...document.querySelectorAll("h1, h2, h3, table th, table td")].filter(element =>
        !element.closest("[hidden], .linked, .aside, .more, #files, script, template")
        ).map(element => element.innerText)"""
    )
    missing = [words for words in wanted if words_of(words) not in text]
    assert len(wanted) > 10
    assert missing == []
    # Files are on demand only: no empty heading stands for them.
    lines = [line.strip() for each in document.pages for line in each.extract_text().splitlines()]
    assert "Files" not in lines


@pytest.mark.parametrize("name", PAGES)
def test_no_heading_parts_from_what_it_heads(printed, name):
    page, document = printed(name)
    headings = page.locator("h2, h3, h4").all_inner_texts()
    last = [sheet.extract_text().strip().split("\n")[-1] for sheet in document.pages[:-1]]
    assert [line for line in last if words_of(line) in map(words_of, headings) and words_of(line)] == []
