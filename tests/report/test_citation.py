"""The methods text as files."""

import re
import shutil
import subprocess

import html5lib
import pytest
from example import HOSTILE

from bidsapp.report.citation import write_citation
from bidsapp.report.references import cited, references, split_citations


def read(folder, ending):
    return (folder / f"logs/CITATION.{ending}").read_text(encoding="utf-8")


def test_every_reference_has_what_a_bibliography_needs():
    needed = {"author", "title", "journal", "year", "volume", "pages"}
    assert len(references()) > 10
    assert all(needed <= set(work.fields) for work in references().values())


def test_only_known_keys_make_a_citation():
    assert split_citations("a [@hedges1981; @smith2009] b [@nobody] c") == [
        ("a ", ["hedges1981", "smith2009"]),
        (" b [@nobody] c", []),
    ]
    assert cited(["x [@smith2009]", "y [@smith2009; @hedges1981]"]) == ["smith2009", "hedges1981"]


def test_all_formats_cite_the_same_works(output_folder):
    in_bib = re.findall(r"@article\{(\w+),", read(output_folder, "bib"))
    in_tex = {
        key
        for keys in re.findall(r"\\citep\{([^}]*)\}", read(output_folder, "tex"))
        for key in keys.split(",")
    }
    in_markdown = set(re.findall(r"^- @(\w+):", read(output_folder, "md"), flags=re.MULTILINE))
    assert set(in_bib) == in_tex == in_markdown
    assert len(in_bib) > 8


def test_text_tells_numbers_of_the_data(output_folder):
    text = read(output_folder, "md")
    assert "Each of the 8 runs of 4 subjects (120 volumes, repetition time 2 s)" in text
    assert "all 64 possible sign flips" in text
    assert "Gaussian kernel of 6 mm" in text
    assert "period of 128 s" in text


def test_html_is_valid(hostile_folder):
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    assert parser.parse(read(hostile_folder, "html")).find("body") is not None


def test_special_characters_do_not_reach_latex(hostile_folder):
    body = read(hostile_folder, "tex").split(r"\begin{document}")[1]
    assert not re.search(r"(?<!\\)[&%#~^<>]", re.sub(r"\\citep\{[^}]*\}", "", body))


def test_subjects_with_other_settings_have_their_own_chapter(tmp_path):
    from example import Example

    from bidsapp.outputs.files import write_json

    example = Example(tmp_path, n_subjects=1)
    for subject, fwhm in (("01", 6.0), ("02", 4.0), ("03", 6.0)):
        record = {**example.common("participant"), "subject": subject, "runs": [], "estimates": []}
        record["settings"] = {**record["settings"], "run": {"smoothing_fwhm": fwhm}}
        write_json(tmp_path / f"logs/sub-{subject}_participant.json", record)
    write_citation(tmp_path)
    headings = re.findall(r"^## (.*)$", read(tmp_path, "md"), flags=re.MULTILINE)
    assert headings == ["Participant level: sub-01, sub-03", "Participant level: sub-02"]


@pytest.mark.parametrize("ending", ["md", "html"])
def test_hostile_names_stay_text(hostile_folder, ending):
    assert "<script>" not in read(hostile_folder, ending).replace(r"\<script\>", "")
    assert HOSTILE not in read(hostile_folder, ending)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
@pytest.mark.parametrize("kind", ["output_folder", "hostile_folder"])
def test_latex_compiles_with_its_bibliography(request, kind, tmp_path):
    for ending in ("tex", "bib"):
        shutil.copy(request.getfixturevalue(kind) / f"logs/CITATION.{ending}", tmp_path)
    latex = ["pdflatex", "-halt-on-error", "CITATION.tex"]
    for command in (latex, ["bibtex", "CITATION"], latex, latex):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-1500:]
    log = (tmp_path / "CITATION.log").read_text(encoding="latin-1")
    assert "undefined" not in log
    assert (tmp_path / "CITATION.pdf").stat().st_size > 10_000
