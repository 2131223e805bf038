"""Bad days of files, folders and processes: one message with the path and its code, nobody else is lost."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from makers.brain import copy_subjects

from bidsapp.cli import main as cli
from bidsapp.errors import EXIT_CANNOT_CREATE, InputError

ROOT = Path(__file__).parents[2]
FUNC = "derivatives/fmriprep/sub-{}/func"


@pytest.fixture
def dataset(tiny_dataset, tmp_path):
    """Return a copy of the demo dataset with two of its subjects, to be damaged."""
    return copy_subjects(tiny_dataset, tmp_path / "bids", 2)


@pytest.fixture
def whole(tiny_dataset, tmp_path):
    """Return a copy of the demo dataset, to be changed."""
    return shutil.copytree(tiny_dataset, tmp_path / "data", symlinks=True)


@pytest.fixture
def finished(tiny_results, tmp_path):
    """Return a copy of the results of four participants, to be damaged."""
    return shutil.copytree(tiny_results, tmp_path / "out")


@pytest.fixture
def run(capfd):
    """Return a function that runs the app and returns its exit code, and what it said and printed."""

    def call(data, out, *arguments):
        code = cli.main([str(data), str(out), *map(str, arguments), "--n-cpus", "1"])
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return code, " ".join(said.err.split()), said.out

    return call


def bold(dataset, subject, number=1):
    (path,) = (dataset / FUNC.format(subject)).glob(f"*run-{number}*bold.nii.gz")
    return path


def repack(path, change):
    """Write a packed image again after a change of its bytes."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    change(content)
    path.write_bytes(gzip.compress(bytes(content), mtime=0))


def plan_agrees(run, data, out):
    """Return what the list and the dry run say, which must be the same."""
    code, _, printed = run(data, out, "participant", "--dry-run")
    assert code == 0
    to_do = set(re.findall(r"sub-(\d+)", " ".join(re.findall("^to do, .*", printed, re.M))))
    code, _, listed = run(data, out, "participant", "--list-participants=unfinished")
    assert set(listed.split()) == to_do
    return to_do, printed


# What is finished: change -> who is done again, and the reason.


def touch_all(data, _):
    for path in data.rglob("*.nii.gz"):
        os.utime(path, ns=(0, 0))


def change_events(data, _):
    (path,) = (data / "sub-02").rglob("*run-1*events.tsv")
    path.write_text(path.read_text().replace("face", "house", 1))


def change_volumes(data, _):
    """Other volumes of the same size in a file of the same size and time."""
    path = bold(data, "03")
    before = path.stat()
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1000:-500], content[-500:] = content[-500:], content[-1000:-500]
    packed = gzip.compress(bytes(content), mtime=0)
    path.write_bytes(packed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def lose_a_map(_, out):
    next((out / "sub-01").rglob("*stat-effect_statmap.nii.gz")).unlink()


def cut_a_map(_, out):
    path = next((out / "sub-04").rglob("*stat-effect_statmap.nii.gz"))
    path.write_bytes(path.read_bytes()[:100])


def lose_a_report(_, out):
    (out / "sub-03.html").unlink()


@pytest.mark.parametrize(
    ("change", "expected", "reason"),
    [
        (touch_all, set(), "finished, nothing to do: sub-01, sub-02, sub-03, sub-04"),
        (change_events, {"02"}, "an input, the model, a setting or the version changed: sub-02"),
        (change_volumes, {"03"}, "an input, the model, a setting or the version changed: sub-03"),
        (lose_a_map, {"01"}, "statmap.nii.gz is missing: sub-01"),
        (cut_a_map, {"04"}, "statmap.nii.gz is damaged: sub-04"),
        (lose_a_report, {"03"}, "its report is missing: sub-03"),
    ],
)
def test_list_dry_run_and_run_agree_on_what_is_finished(run, whole, finished, change, expected, reason):
    change(whole, finished)
    to_do, printed = plan_agrees(run, whole, finished)
    assert to_do == expected
    assert reason in printed
    if change in (touch_all, lose_a_report):
        _, said, _ = run(whole, finished, "participant")
        assert said.count("finished before, nothing changed") == 4


@pytest.mark.parametrize(("flags", "n_left"), [(["--smoothing-fwhm", "4"], 4), (["--alpha", "0.01"], 0)])
def test_settings_of_the_participants_alone_count(run, tiny_dataset, finished, flags, n_left):
    _, _, listed = run(tiny_dataset, finished, "participant", "--list-participants=unfinished", *flags)
    assert len(listed.split()) == n_left


def test_a_dry_run_of_nothing_says_that_all_is_to_be_done(run, tiny_dataset, tmp_path):
    _, _, printed = run(tiny_dataset, tmp_path / "out", "participant", "--dry-run")
    assert "to do, not done yet: sub-01, sub-02, sub-03, sub-04" in printed


# One participant's fault does not stop the others.


def set_dimension(content, size):
    content[42:44] = size.to_bytes(2, "little", signed=True)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: repack(path, lambda content: set_dimension(content, -8)), "bold.nii.gz"),
        (lambda path: repack(path, lambda content: set_dimension(content, 32000)), "its header claims"),
        (lambda path: path.write_bytes(gzip.compress(b"no image at all", mtime=0)), "is not an image"),
    ],
)
def test_a_header_that_lies_costs_its_own_run_only(run, dataset, tmp_path, damage, says):
    damage(bold(dataset, "01"))
    code, said, printed = run(dataset, tmp_path / "out", "participant", "--dry-run")
    assert code == 1
    assert says in said + printed
    assert "sub-02" in printed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"RepetitionTime": 1' + "0" * 5000 + "}", "task-viewing_bold.json cannot be read"),
        ("[" * 10_000 + "]" * 10_000, "task-viewing_bold.json cannot be read"),
    ],
)
def test_json_that_no_program_writes_is_named(run, dataset, tmp_path, text, says):
    (dataset / "task-viewing_bold.json").write_text(text)
    code, said, _ = run(dataset, tmp_path / "out", "participant", "--dry-run")
    assert code in (1, 65)
    assert says in said


def test_a_key_that_is_there_twice_is_warned_of(run, dataset, tmp_path):
    path = next((dataset / FUNC.format("01")).glob("*run-1*bold.json"), dataset / "task-viewing_bold.json")
    path.write_text('{"RepetitionTime": 2.0, "RepetitionTime": 2.0}')
    _, said, _ = run(dataset, tmp_path / "out", "participant", "--dry-run")
    assert f"{path}: 'RepetitionTime' is there twice" in said


def test_a_line_of_millions_of_values_is_refused(run, dataset, tmp_path):
    (path,) = (dataset / FUNC.format("01")).glob("*run-1*confounds_timeseries.tsv")
    lines = path.read_text().splitlines()
    lines[3] += "\t0" * 5_000_000
    path.write_text("\n".join(lines))
    _, said, printed = run(dataset, tmp_path / "out", "participant", "--dry-run")
    assert f"{path} is no table: line 4 has" in said + printed


# Places where something else is.


def test_a_file_named_as_the_folder_of_records_is_told_before_work(run, dataset, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "logs").touch()
    code, said, _ = run(dataset, out, "participant")
    assert code == 73
    assert f"{out / 'logs'} is a file" in said
    assert not (out / "sub-01").exists()


def test_a_folder_named_as_a_record_is_told_before_work(run, dataset, tmp_path):
    out = tmp_path / "out"
    (out / "logs/sub-02_participant.json").mkdir(parents=True)
    code, said, _ = run(dataset, out, "participant")
    assert code == 73
    assert "sub-02_participant.json is a folder" in said
    assert not (out / "sub-01").exists()


def test_a_link_that_leads_out_of_the_output_folder_is_refused(run, dataset, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.mkdir()
    (out / "sub-01").symlink_to(other)
    code, said, _ = run(dataset, out, "participant")
    assert code == 73
    assert "leads out of the output folder" in said
    assert not list(other.iterdir())


def test_more_memory_than_there_is_is_refused_before_work(run, dataset, tmp_path):
    code, said, _ = run(dataset, tmp_path / "out", "participant", "--mem-gb", "0.1")
    assert code == 64
    assert "the limit is 0.10 GB" in said
    assert not (tmp_path / "out").exists()


def test_a_trial_type_that_is_a_formula_is_no_formula_in_a_table(run, dataset, tmp_path):
    for path in (dataset / "sub-01").rglob("*events.tsv"):
        path.write_text(path.read_text().replace("face", "=1+A1"))
    out = tmp_path / "out"
    run(dataset, out, "participant", "--participant-label", "01")
    cells = [cell for path in out.rglob("*.tsv") for cell in re.split("[\t\n]", path.read_text())]
    assert any(cell.startswith("'=1+A1") for cell in cells)
    assert not any(cell.startswith("=") for cell in cells)


# Processes: each is a whole one.


def start(*arguments, **options):
    command = [sys.executable, ROOT / "run.py", *arguments, "--n-cpus", "1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(list(map(str, command)), **(pipes | options))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_has_a_code_of_its_own_and_leaves_nothing(dataset, tmp_path, number):
    out = tmp_path / "out"
    process = start(dataset, out, "participant")
    while not list(out.glob(".taskglm-work-*/lock")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in said
    assert "Traceback" not in said
    assert not list(out.glob(".taskglm-work-*"))


def test_a_full_device_as_output_is_told(dataset, tmp_path):
    with Path("/dev/full").open("w") as full:
        process = start(dataset, tmp_path / "out", "participant", "--dry-run", stdout=full)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 73
    assert "No space left" in said
    assert "Traceback" not in said


def test_closed_streams_are_no_reason_to_stop(dataset, tmp_path):
    words = f"{sys.executable} {ROOT / 'run.py'} {dataset} {tmp_path / 'out'} participant --list-participants"
    command = f"{words} > {tmp_path / 'list'} <&- 2>&-"
    assert subprocess.run(["sh", "-c", command], timeout=120, check=False).returncode == 0
    assert (tmp_path / "list").read_text().split() == ["01", "02"]


def test_a_user_without_a_home_has_one(monkeypatch):
    """Of any number, as containers are run: pybids asks for the home when it is imported."""

    def fail(_):
        raise KeyError

    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", fail)
    with pytest.raises(RuntimeError):
        Path.home()
    cli.have_home()
    assert Path.home() == Path("/")
    monkeypatch.setenv("HOME", "/no/such/folder")
    cli.have_home()
    assert Path.home() == Path("/")


def test_a_killed_worker_is_told_with_those_who_are_left(run, tiny_dataset, finished, monkeypatch):
    def parallel(**_):
        def work(calls):
            function, arguments, _ = next(iter(calls))
            yield function(*arguments)
            raise TerminatedWorkerError

        return work

    monkeypatch.setattr("bidsapp.participant.stage.Parallel", parallel)
    code, said, _ = run(tiny_dataset, finished, "participant")
    assert code == 1
    assert "a worker process was killed" in said
    assert "Not finished: sub-02, sub-03, sub-04. Lower --n-cpus" in said


def test_a_worker_ends_with_the_process_that_started_it():
    """The parent is killed while its child waits for work without end."""
    child = (
        "import time; from bidsapp.job.threads import end_with_parent; end_with_parent();"
        "print(1, flush=True); time.sleep(30); print('still here', flush=True)"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout.readline() == b"1\n"
        parent.kill()
        # The child holds the pipe open as long as it lives, and would speak again.
        assert parent.stdout.read() == b""


def test_the_memory_of_the_jobs_own_control_group_counts(tmp_path, monkeypatch):
    from bidsapp.job import environment

    (tmp_path / "cgroup").write_text("4:memory:/a/b\n3:cpu,cpuacct:/a\n0::/c\n")
    for name, text in {
        "memory/a/b/memory.limit_in_bytes": "9223372036854771712",
        "memory/a/memory.limit_in_bytes": "300000000",
        "c/memory.max": "max",
        "memory.max": "200000000",
        "cpu/a/cpu.cfs_quota_us": "-1",
        "cpu/a/cpu.cfs_period_us": "100000",
        "c/cpu.max": "100000 100000",
    }.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(environment, "PROC", tmp_path)
    monkeypatch.setattr(environment, "CGROUPS", tmp_path / "tree")
    assert environment.find_memory_gb() == pytest.approx(0.18)
    assert environment.count_cpus() == 1
    (tmp_path / "tree/memory.max").unlink()
    assert environment.find_memory_gb() == pytest.approx(0.27)


def test_a_disk_that_is_full_when_pages_are_written_has_its_own_code(
    run, tiny_dataset, finished, monkeypatch
):
    def fail(*_, **__):
        raise InputError("cannot write group.html: No space left on device.", exit_code=EXIT_CANNOT_CREATE)

    monkeypatch.setattr("bidsapp.group.stage.write_group_report", fail)
    code, said, _ = run(tiny_dataset, finished, "group", "--reports-only")
    assert code == EXIT_CANNOT_CREATE
    assert "No space left" in said
    assert "Open" not in said


def test_what_is_damaged_does_not_count_as_finished_at_the_group_level(run, tiny_dataset, finished):
    flags = ["group", "--n-permutations", "0"]
    assert run(tiny_dataset, finished, *flags)[0] == 0
    _, _, printed = run(tiny_dataset, finished, *flags, "--dry-run")
    assert "finished, nothing to do: datasetLevel" in printed
    path = next((finished / "group").glob("*stat-effect_statmap.nii.gz"))
    nib.save(nib.load(path), path)
    path.write_bytes(path.read_bytes()[:-50])
    _, _, printed = run(tiny_dataset, finished, *flags, "--dry-run", "json")
    (why,) = json.loads(printed)["group"]["work"].values()
    assert why == f"{path.relative_to(finished)} is damaged"
