"""What an earlier analysis left: whole or damaged, outdated or not."""

import gzip
import json
import os
import shutil

import pytest
from saved_records import fill

from bidsapp.outputs import earlier
from bidsapp.outputs.saved.participant import SubjectRecord

MAP, TABLE = "sub-01/func/a_statmap.nii.gz", "sub-01/func/a_design.tsv"


def find_finished(path, fingerprint):
    return earlier.find_finished(path, SubjectRecord, fingerprint)


@pytest.fixture
def content(tmp_path):
    """Return what a record says, whose files are there with a sidecar."""
    (tmp_path / "sub-01" / "func").mkdir(parents=True)
    (tmp_path / MAP).write_bytes(gzip.compress(bytes(range(200)), mtime=0))
    (tmp_path / TABLE).write_text("a\tb\n")
    (tmp_path / "sub-01/func/a_statmap.json").write_text("{}")
    given = {
        "status": "complete",
        "fingerprint": "x",
        "estimates": [{"maps": {"t": MAP}}],
        "runs": [{"design": TABLE, "files": {"bold": "sub-01/func/bold.nii.gz"}}],
    }
    return fill(SubjectRecord, given)


@pytest.fixture
def record(tmp_path, content):
    """Return the path of the record."""
    path = tmp_path / "logs" / "sub-01_participant.json"
    path.parent.mkdir()
    written = {"written": earlier.measure_files(tmp_path, content, "sub-01")}
    path.write_text(json.dumps(content | written))
    return path


def test_work_is_finished_when_its_record_matches_and_its_files_are_whole(record):
    assert find_finished(record, "x")


def test_partial_work_is_not_finished_though_its_files_are_whole(record):
    record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "partial"}))
    assert not find_finished(record, "x")


def test_work_is_not_finished_when_its_inputs_changed(record):
    assert not find_finished(record, "y")


@pytest.mark.parametrize("name", [MAP, TABLE, "sub-01/func/a_statmap.json"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_work_is_not_finished_when_a_file_is_gone_or_empty(record, tmp_path, name, damage):
    damage(tmp_path / name)
    assert not find_finished(record, "x")


def test_work_is_not_finished_when_a_map_is_cut_off(record, tmp_path):
    (tmp_path / MAP).write_bytes((tmp_path / MAP).read_bytes()[:50])
    assert not find_finished(record, "x")


def test_a_map_that_was_damaged_in_the_middle_is_seen_though_its_size_is_right(record, tmp_path):
    packed = bytearray((tmp_path / MAP).read_bytes())
    packed[40] ^= 0xFF
    (tmp_path / MAP).write_bytes(packed)
    later = record.stat().st_mtime_ns + 10**9
    os.utime(tmp_path / MAP, ns=(later, later))
    assert not find_finished(record, "x")


def test_a_copy_with_times_of_its_own_is_read_once(record, tmp_path, monkeypatch):
    os.utime(record, ns=(0, 0))
    assert find_finished(record, "x")
    monkeypatch.setattr(earlier, "_is_readable", lambda path: pytest.fail(f"{path} is read again"))
    assert find_finished(record, "x")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "failed", "fingerprint": "x"}'])
def test_a_broken_or_failed_record_is_not_finished_work(record, text):
    record.write_text(text)
    assert not find_finished(record, "x")


def test_a_record_without_sizes_is_not_finished_work(record, content):
    record.write_text(json.dumps(content))
    assert not find_finished(record, "x")


def test_inputs_are_no_files_of_the_analysis(content):
    assert earlier.files_of(content, "sub-01") == {MAP, TABLE}


def test_what_the_old_record_names_and_the_new_one_does_not_is_removed(content, tmp_path):
    after = {"runs": content["runs"]}
    assert earlier.remove_outdated(tmp_path, {MAP, TABLE}, after, "sub-01") == 1
    left = [path.name for path in (tmp_path / "sub-01/func").iterdir()]
    assert left == ["a_design.tsv"]


@pytest.mark.parametrize("path", ["../x.tsv", "sub-01/../../x.tsv", "sub-02/x.tsv", "/etc/x.tsv"])
def test_a_record_that_names_files_elsewhere_removes_none_of_them(tmp_path, path):
    folder = tmp_path / "results"
    for name in ("sub-01", "sub-02"):
        (folder / name).mkdir(parents=True)
    for kept in (tmp_path / "x.tsv", folder / "sub-02" / "x.tsv"):
        kept.write_text("")
    earlier.remove_outdated(folder, {path}, None, "sub-01")
    assert (tmp_path / "x.tsv").exists()
    assert (folder / "sub-02" / "x.tsv").exists()


def test_files_of_interrupted_work_are_known_to_the_next_call(record):
    record.write_text(json.dumps({"of_another_version": json.loads(record.read_text())["estimates"]}))
    assert earlier.take_record(record, "sub-01") == {MAP}
    assert not record.exists()
    # The work was interrupted here; the next call takes the record again.
    assert earlier.take_record(record, "sub-01") == {MAP}
    earlier.drop_record(record)
    assert list(record.parent.iterdir()) == []


def test_a_copied_folder_is_finished_work(record, tmp_path):
    shutil.copytree(tmp_path, tmp_path / "copy", copy_function=shutil.copyfile)
    assert find_finished(tmp_path / "copy" / "logs" / record.name, "x")
