"""The table of deliberate faults fits the code; `make mutants` puts them in, one at a time."""

import csv
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
with (ROOT / "tests" / "mutants.tsv").open(newline="") as table:
    ROWS = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_there_are_faults_of_every_part():
    assert len(ROWS) >= 60
    parts = Counter(row["file"].split("/")[1] for row in ROWS)
    assert min(parts[part] for part in ("stats", "inference", "outputs", "inputs")) >= 10
    assert len({(row["file"], row["text"], row["replacement"]) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['file']}: {row['text'][:30]}")
def test_a_fault_can_be_put_in(row):
    """The text that it replaces is there once: where code has moved, the row must follow."""
    text = (ROOT / row["file"]).read_text()
    assert text.count(row["text"]) == 1
    changed = text.replace(row["text"], row["replacement"])
    compile(changed, row["file"], "exec")
    assert changed != text
    assert all((ROOT / test).is_file() for test in row["tests"].split())
    assert row["tests"]
