"""Which contrasts form a family."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from bidsapp.errors import SettingsError
from bidsapp.plan.group.families import add_family


@dataclass(frozen=True)
class Fit:
    """The part of a planned fit that a family is made from."""

    contrasts: tuple
    descriptive: tuple = ()
    family: tuple = ()


def fits(*names, descriptive=()):
    return [Fit((SimpleNamespace(name=name),), descriptive) for name in names]


@pytest.mark.parametrize(
    ("wanted", "family"),
    [
        ((), []),
        (("all",), ["a", "b, c"]),
        (("a",), ["a"]),
        (("b, c",), ["b, c"]),
        (("a,d e",), ["a", "d e"]),
        (("dE", "a"), ["a", "d e"]),
    ],
)
def test_a_family_is_what_is_named(wanted, family):
    found = add_family(fits("a", "b, c", "d e", descriptive=("d e",)), wanted)
    assert [name for fit in found for name in fit.family] == family


def test_unknown_names_offer_the_near_one():
    with pytest.raises(SettingsError, match="'faces vs houes', did you mean 'faces vs houses'"):
        add_family(fits("faces vs houses", "age"), ("faces vs houes",))


def test_a_contrast_called_all_is_a_name():
    assert [fit.family for fit in add_family(fits("all", "b"), ("all",))] == [("all",), ()]
