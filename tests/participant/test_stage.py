"""What the participant stage shares with other jobs in the same output folder."""

import json
from types import SimpleNamespace

from bidsapp.errors import Caution
from bidsapp.participant import stage as participant


def finish(output_dir, label):
    path = output_dir / "logs" / f"sub-{label}_participant.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"subject": label}))


def test_the_overview_is_written_again_when_another_job_finishes_meanwhile(tmp_path, monkeypatch):
    finish(tmp_path, "01")
    seen = []

    def write_overview(folder):
        seen.append(sorted(path.name for path in (folder / "logs").iterdir()))
        if len(seen) == 1:
            finish(tmp_path, "02")

    monkeypatch.setattr(participant, "write_overview", write_overview)
    participant.keep_overview(tmp_path)

    assert seen[-1] == ["sub-01_participant.json", "sub-02_participant.json"]


def test_a_job_of_a_large_folder_leaves_the_overview_to_the_group_stage(tmp_path, monkeypatch):
    finish(tmp_path, "01")
    finish(tmp_path, "02")
    monkeypatch.setattr(participant, "MOST_IN_OVERVIEW", 1)
    monkeypatch.setattr(participant, "write_overview", lambda _folder: pytest_fails())

    participant.keep_overview(tmp_path)


def pytest_fails():
    raise AssertionError("the overview was written")


def test_what_is_alike_in_several_runs_is_said_once():
    def plan_subject(label, *notes):
        runs = [SimpleNamespace(label=f"sub-{label} run-{number}") for number in (1, 2)]
        return SimpleNamespace(subject=label, runs=runs, notes=[Caution(note) for note in notes])

    subjects = [
        plan_subject(
            "01", "sub-01 run-1: 3 volumes are odd. Look.", "sub-01 run-2: 5 volumes are odd. Look."
        ),
        plan_subject("02", "sub-02: no session", "sub-02 run-1: 4 volumes are odd. Look.", "of the plan"),
    ]
    found = participant.gather_cautions(SimpleNamespace(subjects=subjects, notes=["of the plan"]))
    assert list(map(str, found)) == [
        "sub-01 run-1, sub-01 run-2, sub-02 run-1: 3 to 5 volumes are odd. Look.",
        "sub-02: no session",
    ]
