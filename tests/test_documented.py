"""Documentation that must stay true."""

import ast
import re
from pathlib import Path

import pytest

from bidsapp.cli.parser import make_parser

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("action", make_parser()._actions, ids=lambda action: action.dest)
def test_the_usage_page_shows_the_help(action):
    """The layout of argparse differs between versions of Python; flags and texts must be there."""
    page = " ".join((ROOT / "docs" / "usage.md").read_text().split())
    text = " ".join(action.help.replace("%%", "%").split())
    assert text in page, "run: PYTHONPATH=. python docs/write_usage.py"
    assert all(flag in page for flag in action.option_strings)


TEXTS = [
    path
    for pattern in ("*", "[.]c*/*", "bidsapp/**/*", "benchmarks/**/*", "docs/**/*", "hpc/**/*", "tests/**/*")
    for path in ROOT.glob(pattern)
    if path.suffix in {"", ".def", ".html", ".md", ".py", ".sbatch", ".sh", ".toml", ".yml"}
    and path.is_file()
]
FOLDERS = r"(?:bidsapp|benchmarks|docs|hpc|tests|\.ci|\.circleci)"
# A page or a file that a sentence sends its reader to; names with holes ({}, <>, *) are patterns.
MENTIONED = re.compile(rf"(?<![\w}}>*/.$-])((?:\.\./)*{FOLDERS}/[\w./-]*\w|[\w./-]*\w\.md)(?![-\w*<{{/])")
# Pages that the app writes.
WRITTEN = re.compile(r"logs/CITATION\.md|(code/model-\w+)?_README\.md")


NAMES = {path.name for path in TEXTS}


def missing_mentions(path):
    """Return what a file mentions that is neither below it, nor at the root, nor a file of the repository."""
    mentioned = set(MENTIONED.findall(path.read_text(encoding="utf-8"))) - NAMES
    return {
        name
        for name in mentioned
        if not WRITTEN.fullmatch(name)
        and not any((folder / name).exists() for folder in (ROOT, *path.parents[:2]))
    }


def test_every_file_that_is_mentioned_is_in_the_repository():
    assert len(TEXTS) > 300
    missing = {str(path.relative_to(ROOT)): names for path in TEXTS if (names := missing_mentions(path))}
    assert missing == {}


def test_modules_that_are_run_in_the_documentation_exist():
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    modules = set(re.findall(r"-m ((?:bidsapp|benchmarks)[\w.]*\w)", text))
    assert modules
    for name in modules:
        place = ROOT / name.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), name


@pytest.mark.parametrize(
    "text", ["see rules" + ".md, 6", "in tests" + "/nowhere/x.py", "of ../docs" + "/nothing"]
)
def test_a_mention_of_what_is_not_there_is_found(tmp_path, text):
    (tmp_path / "page.py").write_text(text)
    assert missing_mentions(tmp_path / "page.py")


def test_what_lies_beside_the_repository_is_named_where_it_is_the_default_alone():
    beside = {
        str(path.relative_to(ROOT)) for path in TEXTS if "../" + "shared" in path.read_text(encoding="utf-8")
    }
    assert beside <= {"Makefile", ".ci/run", ".ci/containers"}


VALIDATION = (ROOT / "README.md").read_text().partition("\n## Validation\n")[2].partition("\n## ")[0]
ROWS = [line.strip("|").split("|") for line in VALIDATION.splitlines() if line.startswith("| ")][2:]
# What makes a test need the folder of reference data, or leave itself out.
LEAVES_OUT = {"importorskip", "reference", "references", "skip", "skipif", "xfail"}


def words_of_code(path):
    """Return the names, attributes, arguments and modules that a file of Python speaks of."""
    fields = ("id", "attr", "arg", "name", "module")
    return {getattr(node, field, None) for node in ast.walk(ast.parse(path.read_text())) for field in fields}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_every_row_of_the_validation_is_tested_in_a_bare_clone(row):
    where = re.findall(r"`(.*?)`", row[-1])
    assert where
    for name in where:
        if name.startswith("python -m "):
            continue
        place = ROOT / name
        files = [place] if place.is_file() else sorted(place.glob("test_*.py"))
        assert files, name
        assert [(path.name, found) for path in files if (found := words_of_code(path) & LEAVES_OUT)] == []


@pytest.mark.parametrize(
    "code",
    [
        "def test(reference): pass",
        "pytest.importorskip('x')",
        "@pytest.mark.skipif(True)\ndef test(): pass",
        "import references",
        "from references import find",
        "@pytest.mark.reference\ndef test(): pass",
    ],
)
def test_what_leaves_a_test_out_is_seen(tmp_path, code):
    (tmp_path / "test_x.py").write_text(code)
    assert words_of_code(tmp_path / "test_x.py") & LEAVES_OUT
