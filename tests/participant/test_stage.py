"""What the participant stage shares with other jobs in the same output folder."""

import json

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
