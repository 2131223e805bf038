"""Contrasts of the subjects that are chosen, and mirrored twins among them."""

import pytest

from bidsapp.errors import SettingsError
from bidsapp.plan.group.foresee import Expected
from bidsapp.plan.group.select import find_twins, select_contrasts
from bidsapp.records.maps import EstimateKey

WEIGHTS = {"a - b": [1.0, -1.0], "b - a": [-1.0, 1.0], "sum": [1.0, 1.0], "half": [0.5, -0.5]}


def entries_of(names, subjects=("01", "02"), **other):
    """Return an estimate of each subject and contrast; ``other`` has more conditions of single subjects."""
    return [
        Expected(
            EstimateKey("subject", "subject", name, (("sub", subject),)),
            {"ConditionList": ["a", "b"], "Weights": other.get(f"of_{subject}", WEIGHTS)[name]},
        )
        for subject in subjects
        for name in names
    ]


def names_of(entries):
    return list(dict.fromkeys(entry.key.contrast for entry in entries))


@pytest.mark.parametrize(
    ("words", "chosen"),
    [((), list(WEIGHTS)), (("aB",), ["a - b"]), (("?um", "a*"), ["a - b", "sum"])],
)
def test_contrasts_are_chosen_by_name_label_and_wildcard(words, chosen):
    assert names_of(select_contrasts(entries_of(WEIGHTS), words)) == chosen


@pytest.mark.parametrize(("word", "hint"), [("halv", "Did you mean 'half'"), ("z*", "There are: a - b")])
def test_word_that_no_contrast_has_is_refused(word, hint):
    with pytest.raises(SettingsError, match=f"--select-contrasts: .*{hint}"):
        select_contrasts(entries_of(WEIGHTS), [word])


def test_the_first_of_mirrored_twins_stands_for_both():
    assert find_twins(entries_of(WEIGHTS), ()) == {"b - a": "a - b"}


def test_twins_that_are_named_are_both_made():
    assert find_twins(entries_of(WEIGHTS), {"a - b", "b - a"}) == {}


def test_contrast_that_one_subject_lacks_or_has_otherwise_has_no_twin():
    lacking = [*entries_of(["a - b", "b - a"]), *entries_of(["a - b"], ["03"])]
    assert find_twins(lacking, ()) == {}
    otherwise = entries_of(["a - b", "b - a"], of_02=WEIGHTS | {"b - a": [-2.0, 2.0]})
    assert find_twins(otherwise, ()) == {}
