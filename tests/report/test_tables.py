"""Tables of results in headless Chromium: every kind of test fits, the rest is one choice away, copying."""

import json

import nibabel as nib
import numpy as np
import pytest

from bidsapp.cli import main as cli
from bidsapp.report import pages
from bidsapp.report.sections.contrast import table

SHAPE, N_SUBJECTS = (10, 10, 8), 12
AFFINE = np.diag([8.0, 8, 8, 1])
AFFINE[:3, 3] = (-64, -80, -24)
CELLS = ("A", "B", "C")
UNITS = {"Units": "% signal change"}
# By kind of test: the maps, the design, and what its table shows between q and the coordinate.
T = ["95 % interval", "g"]
KINDS = {
    "one-sample": ("mean", ["one-sample"], ["t(11)", "z", "mean, %", *T]),
    "two-sample": ("group", ["two-sample", "group"], ["t(10)", "z", "difference, %", *T]),
    "covariate": (
        "mean",
        ["covariate", "age"],
        ["t(10)", "z", "slope, % per unit of age", "95 % interval", "partial r"],
    ),
    "F": ("site", ["anova", "site"], ["F(2, 9)", "z", "partial R²"]),
    # Its test is multivariate and has no partial R2.
    "repeated measures": ("cells", ["repeated-measures", "cell=A,B,C"], ["F(2, 10)", "z"]),
    "condition": (
        "cells",
        ["repeated-measures", "cell=A,B,C", "--group-contrast", "a=A - B"],
        ["t(11)", "z", "difference, %", *T],
    ),
    "nothing": ("mean", ["two-sample", "group"], ["t(10)", "z", "difference, %", *T]),
}
START = ["Region (AAL2)", "Side", "voxels", "p TFCE (main)", "p cluster size", "k", "p height", "FDR q"]


def effect_of(maps, cell, number):
    """Return the effect of a subject in the first place; in the second it is less, and below zero."""
    if maps == "group":
        return 4 * (number % 2) - 1
    if maps == "site":
        return 5 * (number % 3) - 2
    return {"A": 2 + number / 4, "B": 0.3, "C": 0}[cell]


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Return folders of maps of 12 subjects, of three cells or of one whose effect is one of something."""
    rng, folder = np.random.default_rng(1), tmp_path_factory.mktemp("maps")
    rows = [
        f"sub-{i + 1:02d}\t{20 + 3.5 * i}\t{['control', 'patient'][i % 2]}\t{'abc'[i % 3]}"
        for i in range(N_SUBJECTS)
    ]
    for name in {name for name, *_ in KINDS.values()}:
        for number in range(N_SUBJECTS):
            subject = folder / name / f"sub-{number + 1:02d}"
            subject.mkdir(parents=True)
            for cell in CELLS if name == "cells" else CELLS[:1]:
                values = rng.standard_normal(SHAPE)
                for k, size in enumerate((1, -0.8)):
                    place = slice(1 + 5 * k, 4 + 5 * k)
                    values[place, place, 2 : 5 - k] += size * effect_of(name, cell, number)
                stem = f"{subject.name}_task-x_space-MNI152NLin2009cAsym_contrast-{cell}_stat-effect_statmap"
                nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), subject / f"{stem}.nii.gz")
                (subject / f"{stem}.json").write_text(json.dumps(UNITS))
        table = "\n".join(["participant_id\tage\tgroup\tsite", *rows])
        (folder / name / "participants.tsv").write_text(table + "\n")
        (folder / name / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    return folder


@pytest.fixture(scope="module")
def tables_of(maps, tmp_path_factory):
    """Return a function from a kind of test to pages with the tables of its contrasts; each is run once."""
    made = {}

    def run(kind, *more):
        if (kind, *more) not in made:
            name, design, _ = KINDS[kind]
            folder, out = maps / name, tmp_path_factory.mktemp("out")
            words = [str(folder), str(out), "group", "--estimates", str(folder), "--n-permutations", "100"]
            words += ["--n-cpus", "1", "--atlas", "aal", "harvard_oxford", *more, "--group-design", *design]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(pages, "CONTRAST_SECTIONS", (table.make_section,))
                assert cli.main(words) == 0
            made[(kind, *more)] = sorted(out.glob("group/*_contrast-*_report.html"))
        return made[(kind, *more)]

    return run


HEADS = """() => [...document.querySelectorAll("#clusters thead tr:nth-child(2) th")]
  .filter(head => head.offsetParent).map(head => head.textContent)"""
SCROLL = """() => {
  const box = document.querySelector("#clusters .scroll");
  return box.scrollWidth - box.clientWidth;
}"""
CELLS_OF = """name => {
  const [box] = document.querySelectorAll("#clusters table"), [, heads] = box.tHead.rows;
  const at = [...heads.cells].findIndex(head => head.dataset.name === name);
  return [...box.tBodies[0].rows].map(row => row.cells[at].textContent);
}"""
HEIGHTS = """() => [...document.querySelectorAll("#clusters tbody tr")].map(row => row.offsetHeight)"""


@pytest.mark.parametrize("kind", list(KINDS)[:-1])
def test_columns_that_matter_are_seen_without_scrolling(visit, tables_of, kind):
    found = []
    for path in tables_of(kind):
        page = visit(path).page
        if page.locator("#clusters table").count():
            assert page.evaluate(SCROLL) <= 0
            found.append(page.evaluate(HEADS))
            looks = "all => all.map(cell => getComputedStyle(cell).fontWeight)"
            assert set(page.eval_on_selector_all("#clusters td.main", looks)) == {"700"}
    assert [*START, *KINDS[kind][2], "x", "y", "z"] in found


def largest(tables_of):
    return tables_of("one-sample")[0]


def test_all_columns_are_one_choice_away_and_rows_keep_their_height(visit, tables_of):
    page = visit(largest(tables_of)).page
    few, before = page.evaluate(HEADS), page.evaluate(HEIGHTS)
    assert max(before) - min(before) <= 1
    page.check(".all-columns input")
    every, after = page.evaluate(HEADS), page.evaluate(HEIGHTS)
    assert (
        {*few} < {*every} >= {"mm³", "active, at least", "p cluster mass", "p uncorrected", "Harvard-Oxford"}
    )
    assert after == pytest.approx(before, abs=1)
    # The levels stand above their columns.
    spans = """head => [...head.rows].map(row =>
      [...row.cells].reduce((n, cell) => n + (cell.offsetParent ? cell.colSpan : 0), 0))"""
    for _ in range(2):
        levels, heads = page.eval_on_selector("#clusters thead", spans)
        assert levels == heads
        page.uncheck(".all-columns input")


def test_narrow_windows_have_region_p_statistic_and_place(visit, tables_of):
    page = visit(largest(tables_of), width=400).page
    assert page.evaluate(SCROLL) <= 0
    assert page.evaluate(HEADS) == ["Region (AAL2)", "p TFCE (main)", "t(11)", "x", "y", "z"]
    page.check(".all-columns input")
    assert "95 % interval" in page.evaluate(HEADS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_sub_peaks_do_not_repeat_their_cluster(visit, tables_of):
    page = visit(largest(tables_of)).page
    rows = page.eval_on_selector_all(
        "#clusters tbody tr",
        "rows => rows.map(row => [row.className, row.cells[2].textContent, row.cells[3].textContent])",
    )
    subs, firsts = ([row for row in rows if (row[0] == "sub") == is_sub] for is_sub in (True, False))
    assert subs
    assert all(row[1:] == ["", ""] for row in subs)
    assert all(row[1] and row[2] for row in firsts)
    assert (
        page.locator("#clusters tr.sub th").first.evaluate("h => parseFloat(getComputedStyle(h).paddingLeft)")
        > 10
    )


def test_tables_fit_on_paper_and_stay_with_their_heading(visit, tables_of):
    page = visit(largest(tables_of), width=680).page
    page.emulate_media(media="print")
    assert page.evaluate(SCROLL) <= 0
    assert page.locator(".table-bar:visible").count() == 0
    breaks = "all => all.map(each => getComputedStyle(each).breakAfter)"
    assert set(page.eval_on_selector_all("#clusters h2, #clusters .before", breaks)) == {"avoid"}


def test_without_scripts_the_table_is_whole_and_nothing_offers_to_copy(visit, tables_of):
    page = visit(largest(tables_of), scripts=False).page
    assert page.locator("#clusters tbody tr:visible").count() >= 3
    assert page.locator(".table-bar button:visible").count() == 0
    page.check(".all-columns input")
    assert page.locator("#clusters th.more:visible").count() > 5


# Where a page has no clipboard, as in some browsers from a file, and where it may not write to it.
CLIPBOARDS = ["undefined", "{ writeText: () => Promise.reject(new Error('not allowed')) }"]


def copy(page, kind):
    """Press a button; return what was copied and what was said."""
    page.evaluate("""() => {
      window.copied = null;
      const keep = () => { window.copied = document.activeElement.value; };
      document.addEventListener("copy", keep, { once: true });
    }""")
    page.click(f"#clusters [data-copy={kind}]")
    page.wait_for_function("document.querySelector('#clusters .copied').textContent.includes('copied')")
    return page.evaluate("window.copied"), page.text_content("#clusters .copied")


@pytest.mark.parametrize("clipboard", CLIPBOARDS)
def test_tables_are_copied_without_a_clipboard_of_the_page(visit, tables_of, clipboard):
    visited = visit(largest(tables_of))
    page = visited.page
    page.evaluate(
        f"Object.defineProperty(navigator, 'clipboard', {{ value: {clipboard}, configurable: true }})"
    )
    rows, heads = page.locator("#clusters tbody tr").count(), page.evaluate(HEADS)
    text, said = copy(page, "tsv")
    lines = [line.split("\t") for line in text.split("\n")]
    assert said == f"{rows} rows copied (TSV)."
    assert lines[0] == [*heads[:-3], "x (mm)", "y (mm)", "z (mm)"]
    assert [len(line) for line in lines] == [len(heads)] * (rows + 1)
    t, shown = float(lines[1][heads.index("t(11)")]), page.evaluate(CELLS_OF, "t(11)")[0]
    assert t == float(shown.replace("−", "-"))
    assert "−" not in text
    assert page.locator("textarea").count() == 0
    assert visited.faults == []


def test_tables_are_copied_to_the_clipboard_of_the_page(visit, tables_of):
    page = visit(largest(tables_of)).page
    page.evaluate("""Object.defineProperty(navigator, "clipboard", {
      value: { writeText: async (text) => { window.written = text; } } })""")
    page.check(".all-columns input")
    copy(page, "markdown")
    lines = page.evaluate("window.written").split("\n")
    assert (
        "| 95 % interval | standard error |" in lines[0].replace("| g |", "|") or "standard error" in lines[0]
    )
    assert lines[1].startswith("| --- | --- | ---: |")
    assert len({line.count("|") for line in lines}) == 1
    copy(page, "sentence")
    sentence = page.evaluate("window.written")
    assert "Strongest: " in sentence
    assert "<" not in sentence.replace("< .0001", "")


def test_copies_are_escaped(visit, tables_of):
    page = visit(largest(tables_of)).page
    page.evaluate(f"Object.defineProperty(navigator, 'clipboard', {{ value: {CLIPBOARDS[0]} }})")
    page.evaluate("""() => {
      const rows = document.querySelectorAll("#clusters tbody tr");
      rows[0].cells[1].textContent = String.raw`50% & a_b $x^2~#{y}\\z |<i>`;
      const heads = [...document.querySelectorAll("#clusters thead tr:nth-child(2) th")];
      const at = heads.findIndex(head => head.dataset.name === "t(11)");
      rows[0].cells[at].textContent = "−1,234.5";
    }""")
    latex, _ = copy(page, "latex")
    lines = latex.split("\n")
    assert lines[0] == r"\begin{tabular}{llrrrrrrrrrrrrrr}"
    assert lines[-1] == r"\end{tabular}"
    words = r"50\% \& a\_b \$x\textasciicircum{}2\textasciitilde{}\#\{y\}\textbackslash{}z $|$$<$i$>$"
    assert lines[4].split(" & ", 1)[1].startswith(f"{words} & ")
    assert " & $-$1,234.5 & " in lines[4]
    assert all(line.endswith(r" \\\\"[:-2]) for line in lines[4:-2])
    assert any(line.startswith(r"\quad ") for line in lines)
    assert copy(page, "tsv")[0].split("\n")[1].split("\t")[8] == "-1234.5"
    assert r"50% & a\_b $x^2~#{y}\\z \|\<i\>" in copy(page, "markdown")[0]


def test_where_nothing_survives_the_strongest_peaks_stand_there(visit, tables_of):
    (path,) = (path for path in tables_of("nothing") if "VsPatient" in path.name)
    page = visit(path).page
    assert page.text_content("#clusters h2") == "Strongest peaks (none survives)"
    assert page.locator("#clusters tbody tr").count() == 5
    assert page.evaluate(SCROLL) <= 0
    assert "p TFCE (main)" in page.evaluate(HEADS)
    assert page.evaluate(HEADS)[-8:-3] == KINDS["nothing"][2]
    assert page.locator("[data-copy=sentence]").count() == 0


def test_small_clusters_are_hidden_on_request_and_this_is_said(visit, tables_of):
    path = tables_of("one-sample", "--report-min-cluster", "20")[0]
    page = visit(path).page
    assert "1 cluster below 20 voxels is not shown here" in page.text_content("#clusters")
    sizes = page.eval_on_selector_all(
        "#clusters tbody tr:not(.sub)", "rows => rows.map(r => r.cells[2].textContent)"
    )
    assert [int(size) >= 20 for size in sizes] == [True]
    records = [next((each.parents[1] / "logs").glob("*_group.json")) for each in (path, largest(tables_of))]
    first, second = (json.loads(record.read_text())["fingerprint"] for record in records)
    assert first == second
