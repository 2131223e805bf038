import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsapp.model.wildcards import is_wildcard, match_name, match_names

WORDS = st.text("ab*?", max_size=12)


@settings(max_examples=500, deadline=None)
@given(WORDS, st.text("ab", max_size=14))
def test_patterns_match_as_those_of_a_shell(pattern, name):
    assert match_name(pattern, name) == fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize("name", ["a[0].b", "a(1)^", "a\nb"])
def test_no_other_character_is_special(name):
    assert match_names("a*", [name]) == [name]
    assert match_name(name, name)
    assert not match_name(name, "a0")


def test_pattern_of_many_wildcards_ends():
    assert not match_name("*a" * 100 + "c", "a" * 200)
    assert not match_name("*?a" * 60 + "c", "a" * 200)


def test_wildcards_are_the_star_and_the_question_mark():
    assert [is_wildcard(word) for word in ("a*", "a?", "a[b]")] == [True, True, False]
