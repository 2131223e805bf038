"""Whatever stands in a model file, the reader raises its documented errors or returns a model."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_model import document

from bidsapp.errors import InputError, ModelError
from bidsapp.model.read import parse_model
from bidsapp.records.model import Model

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
WORDS = [
    "Nodes",
    "Steps",
    "Level",
    "Name",
    "Model",
    "X",
    "Type",
    "Contrasts",
    "Weights",
    "Test",
    "Edges",
    "Input",
]


def read(text):
    try:
        model = parse_model(text)
    except (ModelError, InputError):
        return
    assert isinstance(model, Model)


@QUICK
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    read(text)


@QUICK
@given(VALUES)
def test_any_value_is_read_or_refused(value):
    read(json.dumps(value))


@QUICK
@given(
    st.dictionaries(
        st.sampled_from(WORDS), VALUES | st.lists(st.dictionaries(st.sampled_from(WORDS), VALUES))
    )
)
def test_any_object_with_the_words_of_models_is_read_or_refused(value):
    read(json.dumps(value))


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


PLACES = [path for path in places(document()) if path]


@settings(QUICK, max_examples=400)
@given(st.sampled_from(PLACES), VALUES)
def test_model_with_one_place_changed_is_read_or_refused(path, value):
    model = copy.deepcopy(document())
    holder = model
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    read(json.dumps(model))


@QUICK
@given(st.integers(0, 10_000), st.text(max_size=3))
def test_model_with_one_character_changed_is_read_or_refused(position, text):
    original = json.dumps(document())
    position %= len(original)
    read(original[:position] + text + original[position + 1 :])


@pytest.mark.parametrize("path", PLACES, ids=str)
def test_model_with_one_place_removed_is_read_or_refused(path):
    model = copy.deepcopy(document())
    holder = model
    for part in path[:-1]:
        holder = holder[part]
    del holder[path[-1]]
    read(json.dumps(model))
