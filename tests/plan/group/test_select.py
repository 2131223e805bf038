"""Contrasts of the subjects that are chosen, and mirrored twins among them."""

import pytest

from bidsapp.errors import SettingsError
from bidsapp.plan.group.foresee import Expected
from bidsapp.plan.group.select import find_twins, select_contrasts
from bidsapp.records.maps import EstimateKey

WEIGHTS = {"aMinusB": [1.0, -1.0], "bMinusA": [-1.0, 1.0], "sum": [1.0, 1.0], "half": [0.5, -0.5]}


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
    [((), list(WEIGHTS)), (("aMinusB",), ["aMinusB"]), (("?um", "a*"), ["aMinusB", "sum"])],
)
def test_contrasts_are_chosen_by_name_label_and_wildcard(words, chosen):
    assert names_of(select_contrasts(entries_of(WEIGHTS), words)) == chosen


@pytest.mark.parametrize(("word", "hint"), [("halv", "Did you mean 'half'"), ("z*", "There are: aMinusB")])
def test_word_that_no_contrast_has_is_refused(word, hint):
    with pytest.raises(SettingsError, match=f"--select-contrasts: .*{hint}"):
        select_contrasts(entries_of(WEIGHTS), [word])


def test_the_first_of_automatic_twins_stands_for_both():
    assert find_twins(entries_of(WEIGHTS), ()) == {"bMinusA": "aMinusB"}


def test_twins_that_are_named_are_both_made():
    assert find_twins(entries_of(WEIGHTS), {"aMinusB", "bMinusA"}) == {}


def test_contrast_with_a_name_of_its_own_stays():
    """The automatic twin gives way, whichever comes first; two that were asked for are both made."""
    weights = {"aMinusB": [1.0, -1.0], "Own": [-1.0, 1.0], "other": [1.0, -1.0]}
    of_all = {"of_01": weights, "of_02": weights}
    assert find_twins(entries_of(["aMinusB", "Own"], **of_all), ()) == {"aMinusB": "Own"}
    assert find_twins(entries_of(["Own", "other"], **of_all), ()) == {}


def test_contrast_that_one_subject_lacks_or_has_otherwise_has_no_twin():
    pair = ["aMinusB", "bMinusA"]
    assert find_twins([*entries_of(pair), *entries_of(["aMinusB"], ["03"])], ()) == {}
    assert find_twins(entries_of(pair, of_02=WEIGHTS | {"bMinusA": [-2.0, 2.0]}), ()) == {}
