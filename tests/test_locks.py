"""The lock files agree with pyproject.toml and with each other."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read_pins(name):
    return set(re.findall(r"^([a-z0-9._-]+==\S+)", (ROOT / name).read_text(), flags=re.MULTILINE))


def declared_names(*extras):
    lines = PROJECT["dependencies"] + [
        line for extra in extras for line in PROJECT["optional-dependencies"][extra]
    ]
    return {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in lines}


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("requirements.lock", ()),
        ("requirements-dask.lock", ("dask",)),
        ("requirements-test.lock", ("test", "dask")),
    ],
)
def test_lock_pins_every_declared_package(lock, extras):
    pinned = {pin.partition("==")[0] for pin in read_pins(lock)}

    assert declared_names(*extras) <= pinned


# Packages whose modules have other names, and those of extras that are imported where they are asked for.
MODULES = {"pybids": "bids", "scikit-learn": "sklearn"}


def test_lock_pins_every_package_that_the_app_imports():
    pinned = {pin.partition("==")[0] for pin in read_pins("requirements-dask.lock")}
    modules = {MODULES.get(name, name.replace("-", "_")) for name in pinned}
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).partition(".")[0]
        for path in (ROOT / "bidsapp").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    # _typeshed is there for type checkers alone.
    assert imported - sys.stdlib_module_names - {"bidsapp", "_typeshed"} <= modules


def test_code_that_is_read_as_data_brings_no_packages():
    for lock in ("requirements.lock", "requirements-dask.lock"):
        names = {pin.partition("==")[0] for pin in read_pins(lock)}
        assert not names & {"matplotlib", "scikit-image", "pillow"}


@pytest.mark.parametrize("lock", ["requirements-dask.lock", "requirements-test.lock"])
def test_wider_locks_pin_the_versions_of_the_app(lock):
    assert read_pins("requirements.lock") <= read_pins(lock)


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_every_pin_has_a_hash(lock):
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text())

    assert [block for block in blocks if "--hash=sha256:" not in block] == []
