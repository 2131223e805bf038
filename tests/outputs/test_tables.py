"""Tables with the descriptions of their columns, and what records say of contrasts."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from saved_records import make

from bidsapp.outputs.describe import describe_contrast, describe_dof, describe_run
from bidsapp.outputs.saved.files import as_document
from bidsapp.outputs.saved.participant import ContrastRecord, RunRecord
from bidsapp.outputs.tables import CONTRAST_COLUMNS, write_contrasts, write_design, write_table
from bidsapp.records.maps import Contrast, Design

EVENT = {"onset": 1.0, "duration": 2.0, "trial_type": "e"}
T = Contrast("a-b", "t", ("a", "b", "c"), np.array([[1.0, -1.0, 0.0]]))
F = Contrast("any", "F", ("a", "b", "c"), np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 2.5]]))


def test_numbers_restore_every_float32_and_missing_ones_are_told(tmp_path, rng):
    values = (rng.normal(size=50) * 10.0 ** rng.integers(-20, 20, 50)).astype(np.float32)
    write_table(tmp_path / "x.tsv", pd.DataFrame({"v": values, "w": [math.nan] * 50}))
    assert not (tmp_path / "x.json").exists()
    text = (tmp_path / "x.tsv").read_text().splitlines()
    assert text[0] == "v\tw"
    found = [line.split("\t") for line in text[1:]]
    np.testing.assert_array_equal([np.float32(v) for v, _ in found], values)
    assert {w for _, w in found} == {"n/a"}


def test_columns_are_described_in_the_sidecar(tmp_path):
    write_table(tmp_path / "x.tsv", pd.DataFrame({"v": [1]}), {"v": {"Description": "d"}})
    assert json.loads((tmp_path / "x.json").read_text()) == {"v": {"Description": "d"}}


@pytest.mark.parametrize("rows", [(), ("sub-1", "sub-2")])
def test_a_design_has_its_rows_first(tmp_path, rows):
    write_design(tmp_path / "x.tsv", Design(np.array([[1.0, 2.0], [3.0, 4.0]]), ("m", "n"), rows), {})
    table = pd.read_csv(tmp_path / "x.tsv", sep="\t")
    assert list(table.columns) == (["participant_id"] if rows else []) + ["m", "n"]
    assert list(table.get("participant_id", ())) == list(rows)
    np.testing.assert_array_equal(table[["m", "n"]], [[1, 2], [3, 4]])


def test_contrasts_have_a_line_a_row(tmp_path):
    write_contrasts(tmp_path / "x.tsv", [T, F], ["a", "b", "c"], {"Efficiency": {"a-b": 2.0}})
    lines = (tmp_path / "x.tsv").read_text().splitlines()
    assert [line.split("\t") for line in lines] == [
        ["contrast", "test", "row", "a", "b", "c"],
        ["a-b", "t", "1", "1", "-1", "0"],
        ["any", "F", "1", "1", "0", "0"],
        ["any", "F", "2", "0", "0", "2.5"],
    ]
    sidecar = json.loads((tmp_path / "x.json").read_text())
    assert sidecar == {**CONTRAST_COLUMNS, "Efficiency": {"a-b": 2.0}}
    write_contrasts(tmp_path / "none.tsv", [], ["a"])
    assert (tmp_path / "none.tsv").read_text() == "contrast\ttest\trow\ta\n"


def test_records_have_the_weights_that_are_not_zero():
    assert describe_contrast(T) == ContrastRecord(name="a-b", test="t", weights={"a": 1.0, "b": -1.0})
    assert describe_contrast(F).weights == [{"a": 1.0}, {"c": 2.5}]


@pytest.mark.parametrize(
    ("dof", "expected"), [(12, 12.0), (math.inf, None), (np.array(7.5), 7.5), (np.full(5, 3.0), None)]
)
def test_degrees_of_freedom_are_numbers_or_none(dof, expected):
    one = SimpleNamespace(dof=dof, effect=np.zeros(5))
    several = SimpleNamespace(dof=dof, effect=np.zeros((2, 5)))
    assert describe_dof(one) == expected
    assert describe_dof(several) == [2, expected]


def test_a_run_is_described_with_its_files_and_what_it_lacks(tmp_path):
    run = SimpleNamespace(
        **{kind: tmp_path / kind for kind in ("bold", "mask", "events")},
        confounds=None,
        recordings=(SimpleNamespace(path=tmp_path / "physio"),),
        label="sub-1",
        entities={"sub": "1"},
        repetition_time=2.0,
        start_time=1.0,
        start_time_source="half",
        n_volumes=9,
    )
    fit = SimpleNamespace(
        node="run", confounds=("x",), events=(EVENT,), contrasts=(T,), skipped={"any": "why"}
    )
    files = {kind: str(tmp_path / kind) for kind in ("bold", "mask", "events")}
    record = make(RunRecord, **describe_run(run, fit))
    assert as_document(record.files) == {**files, "confounds": None, "recordings": [str(tmp_path / "physio")]}
    assert as_document(record.skipped) == [{"contrast": "any", "reason": "why"}]
    assert record.contrasts == (describe_contrast(T),)
    assert (record.confounds, record.node) == (("x",), "run")
    assert as_document(record.events) == [EVENT]
    assert (record.n_volumes, record.repetition_time, record.start_time) == (9, 2.0, 1.0)
