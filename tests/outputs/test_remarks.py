"""Warnings of one kind are one remark, with what they concern and what to do."""

import pytest

from bidsapp.outputs.remarks import gather_remarks

PLACES = {"node": ["a", "b c", "d"], "a": ["a"], "b c": ["b c"], "in": ["a", "b c"], "d": ["d"]}
NAMES = ("sub-01", "sub-02", "sub-10", "group.one", "group.two", "group", "maxT")


def gather(*warnings):
    return gather_remarks(warnings, PLACES, NAMES, {"maxT": "height"})


def test_warnings_that_differ_in_numbers_are_one_with_their_range():
    (found,) = gather(
        "a: noise of 1.76 voxels, 3 needed.", "b c: noise of 1.9 voxels, 3 needed.", "d: noise of .5"
    )[:1]
    assert found.words == "Noise of 1.76 to 1.9 voxels, 3 needed."
    assert found.where == ("a", "b c")
    assert found.differ
    assert found.each == ("a: noise of 1.76 voxels, 3 needed.", "b c: noise of 1.9 voxels, 3 needed.")


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("sub-02, sub-10 are odd", "sub-01 is odd", "sub-01, sub-02, sub-10 are odd"),
        ("variance of group.one", "variance of group.two", "Variance of group.one, group.two"),
        ("maxT: n = 1,000", "maxT: n = -3e-5", "height: n = -3e-5 to 1,000"),
        ("p .05 at 0.05", "p .05 at 0.05", "P .05 at 0.05"),
    ],
)
def test_names_and_numbers_make_no_other_kind(one, other, both):
    (found,) = gather(f"a: {one}", f"d: {other}")
    assert found.words == both
    assert found.where == ("a", "d")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sub-01 is odd", "sub-03 is odd"),
        ("ar1 fits", "ar2 fits"),
        ("1 is odd", "sub-01 is odd"),
        ("x/1.nii", "x/2.nii"),
    ],
)
def test_other_words_are_another_kind(one, other):
    assert len(gather(f"a: {one}", f"d: {other}")) == 2


@pytest.mark.parametrize(
    ("warnings", "where"),
    [
        (["a: w", "b c: w"], ("a", "b c")),
        (["a, b c: w"], ("a", "b c")),
        (["a, b c: w", "d: w"], ()),
        (["in: w", "d: w"], ()),
        (["in: w"], ("in",)),
        (["node: w"], ()),
        (["node (a, d): w"], ("a", "d")),
        (["node (unknown): w"], ()),
        (["a, unknown: w"], ()),
        (["a or b: w"], ()),
    ],
)
def test_what_a_remark_concerns(warnings, where):
    (found,) = gather(*warnings)
    assert found.where == where
    assert not found.differ


@pytest.mark.parametrize(
    ("text", "words", "advice"),
    [
        ("it is odd. Use ols (or reml).", "It is odd.", "Use ols (or reml)."),
        ("they are (odd): look at them, and see", "They are (odd)", "Look at them, and see"),
        ("it is odd. It is. Check it. Why not?", "It is odd. It is.", "Check it. Why not?"),
        ("it is odd. Useless too.", "It is odd. Useless too.", ""),
        ("it is odd and of no use", "It is odd and of no use", ""),
    ],
)
def test_what_to_do_begins_with_the_first_sentence_that_says_it(text, words, advice):
    (found,) = gather(f"a: {text}")
    assert (found.words, found.advice) == (words, advice)


def test_a_line_of_the_log_names_few_of_many_and_a_warning_by_itself_stays_as_it_is():
    places = {f"run-{number}": [f"run-{number}"] for number in range(30)}
    alone, several = gather_remarks(
        [
            "run-1: odd: look at it",
            *(f"run-{number}: {number}.5 volumes: look at them" for number in range(20)),
        ],
        places,
    )
    assert str(alone) == "run-1: odd: look at it"
    assert str(several) == (
        "run-0, run-1, run-2, run-3, run-4, run-5 and 14 more: 0.5 to 19.5 volumes. Look at them"
    )
