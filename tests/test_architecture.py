"""The import table of docs/architecture.md and the size limits, checked on the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "bidsapp"
BASE = {"records", "model_records", "plan_records", "settings", "errors", "version", "wildcards"}
ALLOWED = {
    "records": set(),
    "model_records": set(),
    "plan_records": {"records", "model_records"},
    "settings": set(),
    "errors": set(),
    "version": set(),
    "wildcards": set(),
    "stats": BASE,
    "inference": BASE | {"stats"},
    "design": BASE,
    "inputs": BASE | {"outputs.names"},
    "tables": BASE | {"inference", "inputs.fetched", "inputs.images", "inputs.tables"},
    "outputs": BASE,
    "report": BASE | {"inputs.results", "outputs"},
    "plan": BASE | {"inputs", "design", "stats", "outputs.names", "memory"},
}
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
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def allowed(name, part):
    inner = name.removeprefix("bidsapp.")
    options = ALLOWED[part] | {part}
    return any(inner == option or inner.startswith(option + ".") for option in options)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module_imports_only_what_the_table_allows(path):
    part = part_of(path)
    names = list(imports(path))
    inner = [name for name in names if name.startswith("bidsapp.")]
    wrong = [name for name in inner if part in ALLOWED and not allowed(name, part)]
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


def test_a_plan_waits_for_no_slow_import():
    code = f"import sys, bidsapp.plan; print([name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
