"""The pages: valid, self-contained, escaped, complete."""

import re
import xml.etree.ElementTree as ElementTree

import html5lib
import pytest
from example import HOSTILE, Example
from linked_pages import CONTRAST

from bidsapp.errors import AppError, InputError
from bidsapp.outputs.files import write_json
from bidsapp.report.pages import write_group_report, write_overview, write_subject_report

PAGES = ("sub-01.html", "group.html", CONTRAST, "index.html")
RUNS = ("task-stroop run-1", "task-stroop run-2")
SVG = "{http://www.w3.org/2000/svg}svg"
ADDRESSES = ("src", "href", "action", "data", "srcset", "poster", "xlink:href")


def parse(path):
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(
        path.read_text(encoding="utf-8")
    )


def text_of(path):
    return " ".join(" ".join(parse(path).itertext()).split())


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", ["output_folder", "hostile_folder"])
def test_page_is_valid_html_with_unique_ids(request, kind, page):
    tree = parse(request.getfixturevalue(kind) / page)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) >= 3


@pytest.mark.parametrize("page", PAGES)
def test_every_link_inside_a_page_has_its_target(output_folder, page):
    tree = parse(output_folder / page)
    ids = {element.get("id") for element in tree.iter()}
    links = [
        element.get("href")[1:] for element in tree.iter() if (element.get("href") or "").startswith("#")
    ]
    assert set(links) <= ids
    assert len(links) > 5


@pytest.mark.parametrize("page", PAGES)
def test_page_refers_to_no_outside_address(output_folder, page):
    text = (output_folder / page).read_text(encoding="utf-8")
    tree = parse(output_folder / page)
    values = [e.get(name) for e in tree.iter() for name in ADDRESSES if e.get(name)]
    local = (
        "#",
        "data:image/png;base64,",
        "sub-",
        "index.html",
        "group.html",
        "group/",
        "../",
        "task-stroop_",
    )
    assert [v for v in values if not v.startswith(local)] == []
    assert "@import" not in text
    assert not re.search(r"url\((?!data:)", text)


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_has_a_description(output_folder, page):
    pictures = [e for e in parse(output_folder / page).iter(SVG) if e.get("role") == "img"]
    assert pictures
    assert all(len(e.get("aria-label")) > 10 for e in pictures)


@pytest.mark.parametrize("page", PAGES)
def test_hostile_names_are_shown_as_text(hostile_folder, page):
    if page == CONTRAST:
        page = next(hostile_folder.glob("group/*contrast-scriptAlert*_report.html"))
    tree = parse(hostile_folder / page)
    assert HOSTILE in text_of(hostile_folder / page)
    scripts = ["".join(e.itertext()) for e in tree.iter("script") if not e.get("type")]
    data = ["".join(e.itertext()) for e in tree.iter("script") if e.get("type")]
    assert "alert" not in "".join(scripts)
    assert "<" not in "".join(data)
    assert not [e for e in tree.iter() if any(str(name).startswith("on") for name in e.attrib)]


@pytest.mark.parametrize("page", ["sub-01.html", "group.html"])
def test_page_says_how_the_model_was_read(output_folder, page):
    assert "m.json, line 3: a note on a name" in text_of(output_folder / page)


def test_figures_are_also_files_and_well_formed(hostile_folder):
    files = sorted(hostile_folder.glob("*/figures/*.svg"))
    assert len(files) > 40
    for path in files:
        assert "var(--" not in path.read_text(encoding="utf-8")
        assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_subject_page_says_which_runs_made_each_estimate(output_folder):
    text = text_of(output_folder / "sub-01.html")
    assert "fixed effects 200 task-stroop run-1, task-stroop run-2" in text
    assert "Not made here, run-2 has no event of error: error" in text


def test_subject_page_shows_every_run_and_contrast(output_folder):
    headings = ["".join(e.itertext()) for e in parse(output_folder / "sub-01.html").iter("h2")]
    assert headings == [
        "Summary",
        "Contrasts",
        "incongruent - congruent",
        "responseGtRest",
        *RUNS,
        "Methods",
        "About",
    ]


def test_group_page_shows_every_threshold_with_its_tables(output_folder):
    text = text_of(output_folder / CONTRAST) + text_of(output_folder / "group.html")
    for title in ("largest t of each shuffle", "Uncorrected", "Bonferroni", "cluster size"):
        assert title in text
    assert "no run could be used: events are missing" in text


def test_methods_text_names_settings_versions_and_references(output_folder):
    text = text_of(output_folder / "group.html")
    assert "TaskGLM 0.1.0" in text
    assert "nilearn 0.14.1" in text
    assert "all 64 possible sign flips" in text
    assert "Human Brain Mapping 15:1–25" in text


def test_pages_are_written_again_with_the_same_bytes(output_folder):
    before = {page: (output_folder / page).read_bytes() for page in PAGES}
    write_subject_report(output_folder, "01")
    write_group_report(output_folder)
    write_overview(output_folder)
    assert before == {page: (output_folder / page).read_bytes() for page in PAGES}


def test_a_failed_subject_has_a_page_and_a_line_in_the_overview(tmp_path):
    example = Example(tmp_path)
    record = {**example.common("participant"), "subject": "07", "runs": [], "estimates": []}
    write_json(
        tmp_path / "logs/sub-07_participant.json", {**record, "status": "failed", "message": "no <events>"}
    )
    write_subject_report(tmp_path, "07")
    write_overview(tmp_path)
    assert "Status: failed. no <events>" in text_of(tmp_path / "sub-07.html")
    assert "failed: no <events>" in text_of(tmp_path / "index.html")


def test_a_subject_without_record_is_refused(tmp_path):
    with pytest.raises(InputError, match="Run the stage that writes it"):
        write_subject_report(tmp_path, "01")


def test_overview_of_an_empty_folder_says_that_nothing_is_there(tmp_path):
    write_overview(tmp_path)
    assert "no participant results in this folder, no group analysis yet" in text_of(tmp_path / "index.html")


@pytest.mark.parametrize(
    ("lost", "whole"), [("*contrast-incongruentCongruent_stat-z_statmap", 1), ("*desc-datasetLevel_mask", 0)]
)
def test_a_map_that_is_lost_costs_no_page(tmp_path, lost, whole):
    folder = Example(tmp_path, n_subjects=4).write()
    (path,) = folder.glob(f"group/{lost}.nii.gz")
    path.unlink()
    with pytest.raises(AppError, match="the results are finished, but .* lacks a section"):
        write_group_report(folder)
    pages = sorted(folder.glob("group/*_report.html"))
    assert len(pages) == 2
    assert sum("not made" not in text_of(page) for page in pages) == whole
    index = text_of(folder / "group.html")
    assert path.name in index
    assert "Question and design" in index
