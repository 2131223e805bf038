"""hpc/submit.sh with stand-ins for Slurm and Apptainer, which record how they were called."""

import os
import subprocess
from pathlib import Path

import pytest

SUBMIT = Path(__file__).parents[1] / "hpc" / "submit.sh"
STAND_INS = {
    "squeue": 'cat "$FAKE/queue"',
    "scontrol": 'echo "MaxArraySize            = $LONGEST"',
    "apptainer": 'printf "%s\\n" "$*" >>"$FAKE/apptainer"; cat "$FAKE/unfinished"',
    # Prints the job's number, and the name of the cluster as some sites' Slurm does.
    "sbatch": 'printf "%s\\n" "$*" >>"$FAKE/sbatch"; echo "$((100 + $(wc -l <"$FAKE/sbatch")));here"',
}


@pytest.fixture
def site(tmp_path):
    """A folder of commands, a dataset and an image; five participants are unfinished."""
    (tmp_path / "bin").mkdir()
    for name, body in STAND_INS.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
    (tmp_path / "queue").touch()
    (tmp_path / "unfinished").write_text("01\n02\n03\n04\n05\n")
    (tmp_path / "bids").mkdir()
    (tmp_path / "image.sif").touch()
    return tmp_path


def submit(site, *options, **variables):
    environment = {
        **os.environ,
        "PATH": f"{site}/bin:{os.environ['PATH']}",
        "FAKE": str(site),
        "LONGEST": "1001",
        **variables,
    }
    command = ["bash", str(SUBMIT), str(site / "bids"), str(site / "out"), str(site / "image.sif"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def calls(site, name="sbatch"):
    return (site / name).read_text().splitlines()


def lists(site):
    return [path.read_text().splitlines() for path in sorted((site / "out/logs/slurm").glob("*.txt"))]


def test_the_group_job_waits_for_the_array(site):
    result = submit(site)

    array, group = calls(site)
    assert "--array=1-5 " in array
    assert "participant.sbatch" in array
    assert "--dependency=afterok:101 --kill-on-invalid-dep=yes" in group
    assert "group.sbatch" in group
    assert result.stdout == "participants: 101 (5 to do)\ngroup: 102\n"
    assert lists(site) == [["01", "02", "03", "04", "05"]]


def test_several_participants_make_a_task(site):
    submit(site, PER_TASK="2", MAX_RUNNING="3")

    assert "--array=1-3%3 " in calls(site)[0]
    assert lists(site) == [["01 02", "03 04", "05"]]


def test_more_than_slurm_takes_go_into_further_arrays(site):
    result = submit(site, LONGEST="3")

    *arrays, group = calls(site)
    assert [call.split("--array=")[1].split()[0] for call in arrays] == ["1-2", "1-2", "1-1"]
    assert "afterok:101:102:103" in group
    assert result.stdout == "participants: 101 102 103 (5 to do)\ngroup: 104\n"


def test_only_what_is_unfinished_is_submitted(site):
    (site / "unfinished").write_text("04\n")
    result = submit(site)

    assert "--list-participants=unfinished" in calls(site, "apptainer")[0]
    assert lists(site) == [["04"]]
    assert "(1 to do)" in result.stdout


def test_with_nothing_left_to_do_the_group_job_waits_for_nobody(site):
    (site / "unfinished").write_text("")
    result = submit(site)

    (group,) = calls(site)
    assert "--dependency" not in group
    assert result.stdout == "participants: none missing (0 to do)\ngroup: 101\n"


def test_options_reach_the_app_and_the_scheduler(site):
    submit(
        site,
        "--task-label",
        "two words",
        PARTICIPANT_SBATCH="--mem=8G --account=lab",
        GROUP_SBATCH="--mem=64G",
        TASKGLM_BIND="/models",
        APPTAINER_OPTIONS="--net --network none",
    )

    array, group = calls(site)
    assert "--mem=8G --account=lab" in array
    assert "--mem=64G" in group
    assert all(call.endswith("--task-label two words") for call in (array, group))
    (listing,) = calls(site, "apptainer")
    assert "run --containall --net --network none --bind" in listing
    assert ",/models " in listing


def test_jobs_that_are_still_there_are_not_submitted_twice(site):
    (site / "queue").write_text("101 taskglm\n")
    result = submit(site)

    assert result.returncode == 1
    assert "still queued or running" in result.stderr
    assert not (site / "sbatch").exists()


def test_without_enough_arguments_the_use_is_shown():
    result = subprocess.run(["bash", str(SUBMIT), "bids"], capture_output=True, text=True)

    assert result.returncode == 64
    assert "submit.sh BIDS OUT IMAGE" in result.stderr
