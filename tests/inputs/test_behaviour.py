"""Tables of behaviour stand in for events files that are not there."""

import pandas as pd
import pytest
from three_conditions import make_three_conditions

from bidsapp.errors import InputError
from bidsapp.inputs.dataset.occurrences import find_levels
from bidsapp.inputs.dataset.open import open_dataset
from bidsapp.inputs.tables.events import has_times
from bidsapp.plan import make_participant_plan
from bidsapp.settings.parts import Selection, Settings


def move_events(dataset, keep=()):
    """Give the runs their events as tables of behaviour, but for the participants to keep."""
    for path in sorted(dataset.glob("sub-*/func/*_events.tsv")):
        if path.parts[-3] not in keep:
            target = path.parents[1] / "beh" / path.name.replace("_events", "_beh")
            target.parent.mkdir(exist_ok=True)
            path.rename(target)


@pytest.fixture
def dataset(tmp_path):
    return make_three_conditions(tmp_path / "data", n_subjects=2)


def settings(dataset):
    return Settings(dataset, dataset.parent / "out", ("participant",))


def test_runs_are_planned_the_same_from_tables_of_behaviour(dataset):
    before = make_participant_plan(settings(dataset))
    move_events(dataset)
    after = make_participant_plan(settings(dataset))
    for one, other in zip(before.subjects, after.subjects, strict=True):
        assert [fit.contrasts for fit in one.runs] != []
        for first, second in zip(one.runs, other.runs, strict=True):
            assert first.design.columns == second.design.columns
            assert (first.design.matrix == second.design.matrix).all()
    notes = [note for subject in after.subjects for note in subject.notes if "no events file" in note]
    assert len(notes) == 4
    assert "sub-01_task-t_run-1_beh.tsv" in notes[0]


def test_events_files_come_first(dataset):
    move_events(dataset, keep=("sub-01",))
    func = dataset / "sub-01" / "func"
    beside = dataset / "sub-01" / "beh" / "sub-01_task-t_run-1_beh.tsv"
    beside.parent.mkdir()
    beside.write_text("onset\tduration\ttrial_type\n1\t1\telse\n")
    runs = open_dataset(dataset, Selection()).runs
    assert [run.events.name.rpartition("_")[2] for run in runs] == ["events.tsv"] * 2 + ["beh.tsv"] * 2
    assert runs[0].events.parent == func
    levels, _ = find_levels((dataset,), ["t"])
    assert levels["trial_type"] == {"a", "b", "c"}


def test_table_without_times_is_no_events_file(dataset):
    move_events(dataset)
    for path in dataset.rglob("*_beh.tsv"):
        pd.DataFrame({"trial": [1, 2], "response_time": [0.5, 0.6]}).to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match="No events file for any run"):
        open_dataset(dataset, Selection())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("onset\tduration\n", True),
        ("\ufefftrial\tduration\tonset\r\n", True),
        ("onset,duration\n", False),
        ("onset\ttrial\n", False),
        ("", False),
    ],
)
def test_first_line_tells_whether_a_table_has_times(tmp_path, line, expected):
    path = tmp_path / "sub-01_task-t_beh.tsv"
    path.write_text(line, encoding="utf-8")
    assert has_times(path) is expected


def test_table_that_is_not_there_has_no_times(tmp_path):
    assert not has_times(tmp_path / "gone_beh.tsv")
