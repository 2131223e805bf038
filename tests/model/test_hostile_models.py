"""What a hostile model costs, counted in calls of functions: no more than its size, whatever it says."""

import json
import sys

import numpy as np
import pytest
from documents import make_document
from three_conditions import SUBJECT

from bidsapp.design.transformers.matlab import match_texts
from bidsapp.design.transformers.transform import transform
from bidsapp.design.transformers.variables import MAX_VARIABLES, Namespace, Variable, as_values
from bidsapp.errors import ModelError
from bidsapp.model.json_text import MAX_CHARACTERS
from bidsapp.model.read import parse_model

RUN = {
    "Level": "Run",
    "Name": "run",
    "GroupBy": ["run", "subject"],
    "Model": {"Type": "glm", "X": ["a", 1]},
    "DummyContrasts": {"Test": "t"},
}
# Twice the size may cost twice the calls, and some for hashing and sorting.
GROWTH = 2.3
# Calls for each character of a model's text.
CALLS_A_CHARACTER = 25


def count_calls(work):
    """Return how many functions, of Python and of C, a piece of work calls; a refusal ends it."""
    count = 0

    def notice(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(notice)
    try:
        work()
    except ModelError:
        pass
    finally:
        sys.setprofile(before)
    return count


def run_with(**changes):
    return RUN | changes


def of_model(**changes):
    return RUN | {"Model": RUN["Model"] | changes}


def contrast(name, conditions):
    return {"Name": name, "ConditionList": conditions, "Weights": [1] * len(conditions), "Test": "t"}


def steps(*instructions):
    return run_with(Transformations={"Transformer": "bidspm", "Instructions": list(instructions)})


def diamond(n):
    """A run node, and layers of two Subject nodes, each fed by both of the layer before."""
    names = [f"s{k}" for k in range(n)]
    nodes = [RUN, *(SUBJECT | {"Name": name} for name in names)]
    edges = [{"Source": "run", "Destination": name} for name in names[:2]]
    for k in range(2, n):
        edges += [{"Source": names[2 * (k // 2) - j], "Destination": names[k]} for j in (1, 2)]
    return make_document(*nodes, Edges=edges)


HOSTILE = {
    "conditions": lambda n: make_document(RUN | {"Contrasts": [contrast("c", [f"x.{k}" for k in range(n)])]}),
    "10,000 conditions": lambda n: make_document(of_model(X=[f"x.{k}" for k in range(5 * n)])),
    "conditions without prefix": lambda n: make_document(
        of_model(X=[f"t.x{k}" for k in range(n)])
        | {"Contrasts": [contrast("c", [f"x{k}" for k in range(n)])]}
    ),
    "conditions of many dots": lambda n: make_document(
        of_model(X=["." * 150 + f"x{k}" for k in range(n)])
        | {"Contrasts": [contrast("c", [f"X{k}" for k in range(n)])]}
    ),
    "contrasts": lambda n: make_document(RUN | {"Contrasts": [contrast(f"c{k}", ["a"]) for k in range(n)]}),
    "wildcards": lambda n: make_document(of_model(X=[f"*{k}*a*" for k in range(n)])),
    "wildcards of responses": lambda n: make_document(
        of_model(HRF={"Variables": ["*a*"] * n, "Model": "spm"})
    ),
    "dummy wildcards": lambda n: make_document(
        RUN | {"DummyContrasts": {"Contrasts": ["*a*"] * n, "Test": "t"}}
    ),
    "instructions": lambda n: make_document(
        steps(*({"Name": "Copy", "Input": ["a"], "Output": ["b"]} for _ in range(n)))
    ),
    "names of an instruction": lambda n: make_document(
        steps({"Name": "Delete", "Input": [f"*a{k}*" for k in range(n)]})
    ),
    "keys": lambda n: make_document(RUN, **{f"k{k}": k for k in range(n)}),
    "comments": lambda n: make_document(RUN, **{f"_k{k}": k for k in range(n)}),
    "labels": lambda n: make_document(RUN, Input={"subject": [f"sub-{k}" for k in range(n)]}),
    "edges": lambda n: make_document(RUN, SUBJECT, Edges=[{"Source": "run", "Destination": "subject"}] * n),
    "filters": lambda n: make_document(
        RUN,
        SUBJECT,
        Edges=[
            {"Source": "run", "Destination": "subject", "Filter": {"contrast": [f"{k}" for k in range(n)]}}
        ],
    ),
    "nested edges": lambda n: diamond(n // 20),
    "nodes": lambda n: make_document(*(RUN | {"Name": f"n{k}"} for k in range(n // 20))),
    "formula": lambda n: make_document(of_model(Formula="1 + " + " * ".join(f"a{k}" for k in range(n)))),
    "software": lambda n: make_document(of_model(Software={f"P{k}": {"x": 1} for k in range(n)})),
    "modulations": lambda n: make_document(
        of_model(
            HRF={"Variables": ["a"], "Model": "spm"},
            Software={
                "SPM": {
                    "ParametricModulations": [
                        {"Name": f"m{k}", "Conditions": ["t.a"], "Values": ["v"]} for k in range(n)
                    ]
                }
            },
        )
    ),
    "weights": lambda n: make_document(
        RUN | {"Contrasts": [contrast("c", ["a"]) | {"Weights": [[1]] * n, "Test": "F"}]}
    ),
    "commas": lambda n: make_document(RUN, _more=[[k] for k in range(n)]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_model_costs_no_more_than_its_size(case):
    texts = [json.dumps(HOSTILE[case](n)) for n in (1000, 2000)]
    if case == "commas":
        texts = [text.replace("]", ",]") for text in texts]
    few, many = (count_calls(lambda text=text: parse_model(text)) for text in texts)
    assert many <= max(GROWTH * few, 20_000)
    assert many <= CALLS_A_CHARACTER * len(texts[1]) + 20_000


@pytest.mark.parametrize("text", ["[" * 9999, '{"a":' * 9999, '"' + "\\" * 99999, "[1," * 50000])
def test_text_that_nests_or_never_ends_costs_no_more_than_its_length(text):
    assert count_calls(lambda: parse_model(text)) < 2 * len(text) + 10_000


def test_a_text_that_no_model_has_is_not_looked_at():
    assert count_calls(lambda: parse_model(" " * MAX_CHARACTERS + "[,]")) < 1000


def namespace(n_levels=50):
    onset = np.arange(n_levels, dtype=float)
    columns = {"kind": [f"k{k}" for k in range(n_levels)], "value": onset.tolist(), "other": onset.tolist()}
    rows = np.arange(n_levels)
    return Namespace(
        {
            name: Variable(name, as_values(np.array(values, object)), onset, np.ones(n_levels), rows)
            for name, values in columns.items()
        },
        np.arange(20) * 2.0,
    )


EXPLOSIONS = {
    "copies of all": [{"Name": "Demean", "Input": ["*v*"], "OutputPrefix": f"p{k}"} for k in range(400)],
    "parts of parts": [{"Name": "Split", "Input": ["value*"], "By": ["kind"]}] * 3,
    "parts of all by two": [{"Name": "Split", "Input": ["value", "other"], "By": ["kind", "other"]}],
    "levels of levels": [{"Name": "Copy", "Input": ["kind"], "Output": f"c{k}"} for k in range(200)]
    + [{"Name": "Factor", "Input": ["c*"]}],
    "delays of all": [{"Name": "Factor", "Input": ["kind"]}]
    + [{"Name": "Not", "Input": ["*kind.*"], "OutputPrefix": f"p{k}"} for k in range(2)]
    + [{"Name": "Convolve", "Input": ["*.k*"], "Model": "fir", "FIRDelays": list(range(100))}],
}


@pytest.mark.parametrize("case", EXPLOSIONS)
def test_transformations_that_multiply_variables_are_refused(case):
    node = run_with(Transformations={"Transformer": "pybids-transforms-v1", "Instructions": EXPLOSIONS[case]})
    instructions = parse_model(json.dumps(make_document(node))).nodes[0].transformations
    made = namespace()
    with pytest.raises(ModelError, match=r"more than 5,000 variables|into more than 1000 parts"):
        transform(made, instructions)
    assert len(made.variables) <= 2 * MAX_VARIABLES


QUERIES = {
    "blanks": " " * 900 + "value > 1" + " " * 90,
    "only blanks": " " * 1000,
    "signs": "value " + "=" * 900,
    "a text": "value == " + "a" * 900,
}


@pytest.mark.parametrize("case", QUERIES)
@pytest.mark.parametrize("transformer", ["bidspm", "pybids-transforms-v1"])
def test_a_long_query_costs_no_more_than_its_length(case, transformer):
    step = {"Name": "Filter", "Input": ["value"], "Query": QUERIES[case]}
    node = run_with(Transformations={"Transformer": transformer, "Instructions": [step]})
    instructions = parse_model(json.dumps(make_document(node))).nodes[0].transformations
    assert count_calls(lambda: transform(namespace(), instructions)) < 20_000


@pytest.mark.parametrize("pattern", ["a.*" * 60 + "b", ".*" * 90, "|".join(["a.*b"] * 40), ".+" * 90])
def test_patterns_of_texts_cost_their_lengths(pattern):
    values = np.array(["a" * 200] * 50, object)
    assert count_calls(lambda: match_texts(values, pattern)) < 50_000
