"""The lock files agree with pyproject.toml and with each other."""

import re
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


@pytest.mark.parametrize("lock", ["requirements-dask.lock", "requirements-test.lock"])
def test_wider_locks_pin_the_versions_of_the_app(lock):
    assert read_pins("requirements.lock") <= read_pins(lock)


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_every_pin_has_a_hash(lock):
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text())

    assert [block for block in blocks if "--hash=sha256:" not in block] == []
