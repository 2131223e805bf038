"""What the inputs of a group model say of themselves."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from saved_records import make

from bidsapp.group.inputs import check_inputs
from bidsapp.group.stage import gather
from bidsapp.outputs.saved.group import GroupContrastRecord


def entry(subject, contrast="a", units=None):
    key = SimpleNamespace(entity=lambda name: subject, contrast=contrast)
    return SimpleNamespace(key=key, effect=Path(f"{subject}-{contrast}.nii"), metadata={"Units": units})


def fit(n, **more):
    return SimpleNamespace(inputs=tuple(entry(f"{i + 1:02d}", **more) for i in range(n)))


def stack(digests, scales=None):
    scales = np.ones(len(digests)) if scales is None else np.array(scales, float)
    return SimpleNamespace(digests=digests, scales=scales)


def test_inputs_that_differ_say_nothing():
    assert check_inputs([fit(3)], [stack(("x", "y", "z"), [1, 4.9, 2])]) == []


def test_every_set_of_copies_is_one_sentence():
    found = check_inputs([fit(5)], [stack(("x", "y", "x", "y", "z"))])
    assert [words.split(" (")[0] for words in found] == [
        "Identical maps of sub-01, sub-03",
        "Identical maps of sub-02, sub-04",
    ]


def test_copies_in_several_contrasts_are_said_once():
    fits, stacks = [fit(2), fit(2, contrast="b")], [stack(("x", "x")), stack(("y", "y"))]
    (words,) = check_inputs(fits, stacks)
    assert "sub-01, sub-02 (a, b): 01-a.nii, 02-a.nii" in words
    assert words.endswith("it counts as another person.")


def test_copies_among_the_maps_of_one_subject_are_no_other_person():
    inputs = (entry("01"), entry("01", contrast="b"), entry("02"))
    (words,) = check_inputs([SimpleNamespace(inputs=inputs)], [stack(("x", "x", "y"))])
    assert words.startswith("Identical maps of sub-01 (a, b): 01-a.nii, 01-b.nii.")
    assert words.endswith("it counts as another map.")


def test_many_names_are_cut():
    (words,) = check_inputs([fit(20)], [stack(("x",) * 20)])
    assert "and 14 more" in words


@pytest.mark.parametrize(
    ("scales", "named"),
    [([1, 1, 6], "sub-03 6 times"), ([1, 1, 0.1], "sub-03 0.1 times"), ([1, 1, 6, 6], "sub-03 6 times")],
)
def test_other_scales_are_named_whether_larger_smaller_or_half_of_all(scales, named):
    (words,) = check_inputs([fit(len(scales))], [stack(tuple(map(str, range(len(scales)))), scales)])
    assert named in words


def test_units_that_nobody_knows_are_not_different():
    one, other = fit(2, units="V"), fit(2)
    assert check_inputs([one, other], [stack(("a", "b")), stack(("c", "d"))]) == []


def test_the_same_words_for_several_contrasts_are_one_warning():
    contrasts = [make(GroupContrastRecord, name=name, input_contrast=name) for name in ("a", "a: b", "c")]
    found = gather(["a: x", "c: x", "a: b: x", "c: y", "z"], contrasts)
    assert found == ["a, c, a: b: x", "c: y", "z"]
