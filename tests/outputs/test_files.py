"""Atomic writes."""

import json
import math
import time
from threading import Thread

import numpy as np
import pytest

from bidsapp.errors import EXIT_CANNOT_CREATE, InputError
from bidsapp.outputs.files import holding, remove_unfinished, replacing, write_json, write_text


def fail_half_way(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        fail_half_way(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_file_of_before(tmp_path):
    write_text(tmp_path / "a.txt", "before")
    with pytest.raises(RuntimeError):
        fail_half_way(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "before"


def test_json_has_plain_values_and_null_for_nan(tmp_path):
    write_json(tmp_path / "a.json", {"x": np.float32(1.5), "y": math.nan, "z": (np.arange(2), tmp_path.name)})
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "x": 1.5,
        "y": None,
        "z": [[0, 1], tmp_path.name],
    }


def test_json_keeps_letters_and_has_null_for_what_has_no_end(tmp_path):
    write_json(tmp_path / "x.json", {"a": "\u00fc", "b": math.inf})
    assert "\u00fc" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["b"] is None


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Choose another output") as caught:
        write_text(tmp_path / "file" / "a.txt", "x")
    assert caught.value.exit_code == EXIT_CANNOT_CREATE


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / "func").mkdir()
    (tmp_path / "func" / ".unfinished-1-a.nii.gz").write_text("half")
    remove_unfinished(tmp_path)
    assert list((tmp_path / "func").iterdir()) == []


def test_writers_with_the_same_process_number_do_not_share_a_temporary_file(tmp_path):
    with replacing(tmp_path / "a.txt") as first, replacing(tmp_path / "a.txt") as second:
        first.write_text("first")
        second.write_text("second")
        assert first != second


def hold(path, number, said):
    with holding(path):
        said.append(f"{number} in")
        time.sleep(0.05)
        said.append(f"{number} out")


def test_a_lock_is_held_by_one_at_a_time_and_leaves_no_file(tmp_path):
    path, said = tmp_path / "logs" / ".x.lock", []
    threads = [Thread(target=hold, args=(path, number, said)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [word.split()[0] for word in said[::2]] == [word.split()[0] for word in said[1::2]]
    assert sorted(said[::2]) == [f"{number} in" for number in range(6)]
    assert not list(path.parent.iterdir())


def test_a_lock_that_a_killed_process_left_is_taken(tmp_path):
    path = tmp_path / ".x.lock"
    path.touch()
    hold(path, 1, [])
    assert not path.exists()
