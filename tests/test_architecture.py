"""The import table of docs/architecture.md and the size limits, checked on the source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bidsapp.inference import statistics, thresholds
from bidsapp.stats.group.estimators import FITS, FITS_BY_GROUP
from bidsapp.stats.group.flip_scores import SCORES
from bidsapp.stats.noise.autocorrelation import METHODS
from bidsapp.vocabulary.estimators import ESTIMATORS
from bidsapp.vocabulary.noise import NOISE_MODELS
from bidsapp.vocabulary.quantities import QUANTITIES
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import THRESHOLDS

ROOT = Path(__file__).parents[1]
PACKAGE, PAGE = ROOT / "bidsapp", ROOT / "docs" / "architecture.md"
# A file or folder that the page names, and `file.py: name, Class.name`.
PATH = re.compile(r"(?<![\w/.<-])((?:\w+/)*\w+\.py|(?:\w+/)+)(?![\w-])")
NAMED = re.compile(r"`([\w/]+\.py): ([\w., ]+)`")
# What any part may import; in this order, each the ones before it.
GROUND = ("version", "vocabulary", "errors", "names", "records", "settings")
BASE = set(GROUND)
ALLOWED = {part: set(GROUND[:place]) for place, part in enumerate(GROUND)} | {
    "demo": {"errors", "model.strategy", "records"},
    "stats": BASE,
    "inference": BASE | {"stats"},
    # A model file may be a link to content that was not fetched, as any file of a dataset.
    "model": BASE | {"inputs.fetched"},
    "design": BASE | {"model", "stats.linear"},
    "inputs": BASE | {"model"},
    "tables": BASE | {"inference.statistics", "inputs.fetched", "inputs.images", "inputs.tables"},
    "outputs": BASE,
    "plan": BASE | {"model", "design", "inputs", "stats"},
    "job": BASE | {"outputs", "plan"},
    "report": BASE | {"outputs", "tables"},
    "participant": BASE | {"design", "inputs", "stats", "outputs", "plan", "job", "report"},
    "group": BASE | {"inputs", "stats", "inference", "tables", "outputs", "plan", "job", "report"},
    "cli": BASE | {"model", "inputs", "outputs", "plan", "job", "report"},
}
# Within a part: what a folder of it does not import from the others.
APART = {
    "stats/noise": {"stats.run", "stats.group"},
    "stats/group": {"stats.run", "stats.noise"},
    "stats/run": {"stats.group"},
    "inference/fast": {"inference", "stats"},
}
# Doors: ``python -m bidsapp.model``.
DOORS = {"__init__", "__main__"}
MOST_ENTRIES, MOST_FILES = 22, 6
FOREIGN = {
    "stats": {"bids", "nibabel", "pandas", "jinja2", "matplotlib"},
    "inference": {"bids", "nibabel", "pandas", "jinja2", "matplotlib", "nilearn"},
    "design": {"bids", "nibabel", "jinja2", "matplotlib", "nilearn"},
    "inputs": {"jinja2", "matplotlib"},
    "outputs": {"bids", "jinja2", "matplotlib", "nilearn"},
    "report": {"bids"},
}
# What a plan must not wait for; each takes from half a second to several seconds to import.
SLOW = ("nilearn", "sklearn", "formulaic", "matplotlib", "numba", "joblib", "scipy.ndimage", "scipy.stats")
# Functions that may exceed 60 lines, each with its reason.
LONG_FUNCTIONS = {}
MAX_BODY = 60


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path):
    """What a module imports when it runs; what is for types alone ties nothing together."""
    for node in ast.walk(without_types(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def without_types(tree):
    tree.body = [node for node in tree.body if ast.unparse(node).partition("\n")[0] != "if TYPE_CHECKING:"]
    return tree


def allowed(name, part):
    return within(name, ALLOWED[part] | {part})


def within(name, parts):
    inner = name.removeprefix("bidsapp.")
    return any(inner == part or inner.startswith(part + ".") for part in parts)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module_imports_only_what_the_table_allows(path):
    part = part_of(path)
    names = list(imports(path))
    inner = [name for name in names if name.startswith("bidsapp.")]
    wrong = [name for name in inner if path.stem not in DOORS and not allowed(name, part)]
    folder = str(path.relative_to(PACKAGE).parent)
    own = folder.replace("/", ".")
    wrong += [name for name in inner if within(name, APART.get(folder, set())) and not within(name, {own})]
    wrong += [name for name in names if name.split(".")[0] in FOREIGN.get(part, set())]
    assert wrong == []


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_functions_fit_on_a_screen(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    long = [f.name for f in functions if body_lines(f) > MAX_BODY and f.name not in LONG_FUNCTIONS]
    assert long == []


def body_lines(function):
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_the_top_of_the_package_can_be_seen_at_once():
    entries = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES
    assert len([path for path in entries if path.is_file()]) <= MOST_FILES
    parts = {path.stem for path in entries} - DOORS
    assert parts == set(ALLOWED)


def test_every_folder_says_what_lives_there():
    for path in PACKAGE.rglob("__init__.py"):
        doc = ast.get_docstring(ast.parse(path.read_text()))
        assert doc, path
        assert doc.count(" ") >= 3, path


def test_a_plan_waits_for_no_slow_import():
    code = f"import sys, bidsapp.plan; print([name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_of_rows_are_asked_for_where_they_are_bound_alone():
    names = set(THRESHOLDS) | {name for name in NOISE_MODELS if name.endswith("-reml")}
    bound = ("vocabulary", "inference/thresholds")
    found = {
        (str(path.relative_to(PACKAGE)), node.value)
        for path in modules()
        if not str(path.relative_to(PACKAGE)).startswith(bound)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert found == set()


def test_every_word_has_what_it_names_and_nothing_is_without_a_word():
    assert set(FITS) == set(ESTIMATORS)
    assert set(FITS_BY_GROUP) == {row.name for row in ESTIMATORS.values() if row.allows_variance_groups}
    assert set(SCORES) == set(ESTIMATORS) - {"ols"}
    assert set(METHODS) == {row.method for row in NOISE_MODELS.values()}
    assert list(statistics.STATISTICS) == list(STATISTICS)
    assert list(thresholds.THRESHOLDS) == list(THRESHOLDS)
    assert {row.observed for row in STATISTICS.values()} - {None} <= set(QUANTITIES)


def missing_from_source(text):
    """Return the paths and names of a page that the source does not have."""
    # Rows of the import table name the folders of their own part.
    bases = (ROOT, PACKAGE, *(path for path in PACKAGE.iterdir() if path.is_dir()))
    lost = {path for path in PATH.findall(text) if not any((base / path).exists() for base in bases)}
    pairs = [(path, name) for path, names in NAMED.findall(text) for name in names.split(", ")]
    return lost | {f"{path}: {name}" for path, name in pairs if name not in definitions(PACKAGE / path)}


def definitions(path):
    """Return the names that a module defines, those of its classes as ``Class.name``."""
    found = set()
    for node in ast.parse(path.read_text()).body if path.is_file() else ():
        found |= bound(node)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for part in node.body for name in bound(part)}
    return found


def bound(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_the_page_names_what_is_there():
    text = PAGE.read_text()
    assert len(NAMED.findall(text)) > 30
    assert missing_from_source(text) == set()


@pytest.mark.parametrize(
    "lost",
    ["stats/nowhere/", "group/nothing.py", "group/write.py: nothing", "records/plan.py: RunFit.nothing"],
)
def test_what_the_page_names_and_is_not_there_is_found(lost):
    assert missing_from_source(f"See `{lost}`, or `group/write.py: collect_maps`.") == {lost}
