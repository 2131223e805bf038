import json

import pytest

from bidsapp.errors import InputError
from bidsapp.inputs.tables.exclusions import read_exclusions


def write(folder, content):
    (folder / "exclude.json").write_text(json.dumps(content))
    return read_exclusions(folder)


def test_a_list_of_labels_excludes_with_or_without_prefix(tmp_path):
    rules = write(tmp_path, ["sub-01", "02"])
    assert [rule.applies_to({"sub": label}) for rule, label in zip(rules, ("01", "02"), strict=True)] == [
        True
    ] * 2
    assert not rules[0].applies_to({"sub": "02"})


def test_an_object_gives_reasons(tmp_path):
    (rule,) = write(tmp_path, {"sub-03": "fell asleep"})
    assert rule.reason == "fell asleep"


def test_ratings_other_than_bad_are_passed_over(tmp_path):
    rules = write(tmp_path, [{"sub": "01", "rating": "good"}, {"sub": "02", "rating": "bad", "task": "x"}])
    assert [rule.entities for rule in rules] == [(("sub", "02"), ("task", "x"))]


def test_an_exclusion_of_one_task_leaves_the_others(tmp_path):
    (rule,) = write(tmp_path, [{"sub": "02", "task": "x"}])
    assert rule.applies_to({"sub": "02", "task": "x"})
    assert not rule.applies_to({"sub": "02", "task": "y"})


def test_no_file_excludes_nobody(tmp_path):
    assert read_exclusions(tmp_path) == []


@pytest.mark.parametrize("content", ["sub-01", [1], [{"task": "x"}], {"sub-": "x"}])
def test_another_form_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"exclude\.json"):
        write(tmp_path, content)


def test_broken_json_is_refused(tmp_path):
    (tmp_path / "exclude.json").write_text("[")
    with pytest.raises(InputError, match="is not JSON"):
        read_exclusions(tmp_path)
