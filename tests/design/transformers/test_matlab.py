"""The transformers of bids-matlab: what they give follows the tables of bids-standard/variable-transform.

The columns here are others; every case of a transformer that the tables tell apart is one of these.
"""

import json

import numpy as np
import pytest
from documents import make_document, run_node, transformations

from bidsapp.design.transformers.matlab import match_texts
from bidsapp.design.transformers.transform import SETS, transform
from bidsapp.design.transformers.variables import Namespace, Variable, as_values
from bidsapp.errors import ModelError
from bidsapp.model.read import parse_model
from bidsapp.records.model import MATLAB_SET, PYBIDS_SET, TRANSFORMER_SETS

TABLE = {
    "onset": [1.0, 3.0, 6.0, 10.0],
    "duration": [1.0, 2.0, 1.0, 4.0],
    "kind": ["old face", "new face", "old face", None],
    "side": ["left", "right", "right", "left"],
    "score": [-1.0, 0.0, 2.0, None],
    "block": [1.0, 1.0, 2.0, 2.0],
}


def instructions(steps, transformer=MATLAB_SET):
    node = run_node([1], Transformations=transformations(*steps, transformer=transformer))
    return parse_model(json.dumps(make_document(node))).nodes[0].transformations


def apply(*steps, table=TABLE):
    onset, duration = (as_values(table[key]) for key in ("onset", "duration"))
    rows = np.arange(len(onset))
    columns = {key: as_values(np.array(values, object)) for key, values in table.items()}
    namespace = Namespace({key: Variable(key, v, onset, duration, rows) for key, v in columns.items()})
    transform(namespace, instructions(steps))
    return namespace.variables


def step(name, given=None, **arguments):
    return {"Name": name} | ({} if given is None else {"Input": given}) | arguments


def values(variable):
    return [None if v is None or v != v else v for v in variable.values.tolist()]


def test_every_transformer_of_both_sets_can_be_applied():
    assert SETS.keys() == TRANSFORMER_SETS.keys()
    for name, known in TRANSFORMER_SETS.items():
        assert SETS[name].keys() == known.keys()


COLUMNS = {
    "add": (step("Add", "block", Value=2), "block", [3, 3, 4, 4]),
    "a number in quotes": (step("Subtract", "block", Value="0.5"), "block", [0.5, 0.5, 1.5, 1.5]),
    "power to another column": (step("Power", "score", Value=2, Output="sq"), "sq", [1, 0, 4, None]),
    "some rows": (step("Multiply", "block", Value=10, Query="score > -1"), "block", [1, 10, 20, 2]),
    "rows of a text of words": (
        step("Add", "block", Value=1, Query="kind == old face"),
        "block",
        [2, 1, 3, 2],
    ),
    "rows of a pattern": (step("Add", "block", Value=1, Query="kind==.* face"), "block", [2, 2, 3, 2]),
    "constant": (step("Constant", Output="one"), "one", [1, 1, 1, 1]),
    "constant of a value": (step("Constant", Value=-3, Output="c"), "c", [-3, -3, -3, -3]),
    "texts joined": (
        step("Concatenate", ["side", "kind"], Output="both"),
        "both",
        ["left_old face", "right_new face", "right_old face", "left_NaN"],
    ),
    "numbers joined": (
        step("Concatenate", ["block", "onset"], Output="kind"),
        "kind",
        ["1_1", "1_3", "2_6", "2_10"],
    ),
    "filter": (step("Filter", "side", Query="block > 1"), "side", [None, None, "right", "left"]),
    "filter by not equal": (
        step("Filter", "kind", Query=" kind ~= old face "),
        "kind",
        [None, "new face", None, None],
    ),
    "filter of numbers": (step("Filter", "score", Query="score ~= 2"), "score", [-1, 0, None, None]),
    "filter to another column": (
        step("Filter", "block", Query="side == left", Output="l"),
        "l",
        [1, None, None, 2],
    ),
    "threshold is strict": (step("Threshold", "block", Threshold=1), "block", [0, 0, 2, 2]),
    "threshold below": (step("Threshold", "score", Above=False, Binarize=True), "score", [1, 0, 0, None]),
    "threshold of the size": (
        step("Threshold", "score", Threshold=0.5, Signed=False, Binarize=True),
        "score",
        [1, 0, 1, None],
    ),
    "and of a text": (step("And", ["kind", "block"], Output="both"), "both", [1, 1, 1, 0]),
    "or of missing values": (step("Or", ["kind", "score"], Output="any"), "any", [1, 1, 1, 0]),
    "not": (step("Not", "score", Output="no"), "no", [0, 1, 0, 1]),
    "mean with a missing value": (step("Mean", "score"), "score_mean", [None] * 4),
    "mean without it": (step("Mean", "score", OmitNan=True, Output="m"), "m", [1 / 3] * 4),
    "deviation": (step("StdDev", "block"), "block_std", [3**-0.5] * 4),
    "replace by a list": (
        step("Replace", "kind", Replace=[{"key": "old.*", "value": "o"}, {"key": "o", "value": "p"}]),
        "kind",
        ["p", "new face", "p", None],
    ),
    "replace by one object": (
        step("Replace", "block", Replace={"key": 2, "value": 7}, Output="b"),
        "b",
        [1, 1, 7, 7],
    ),
    "factor of numbers": (step("Factor", "block"), "block_2", [0, 0, 1, 1]),
    "factor of texts": (step("Factor", "side"), "side_1", [1, 0, 0, 1]),
    "split": (step("Split", "block", By="side"), "block_BY_side_left", [1, None, None, 2]),
    "split of texts": (
        step("Split", ["kind"], By=["block"]),
        "kind_BY_block_1",
        ["old face", "new face", None, None],
    ),
    "split by two": (
        step("Split", "onset", By=["side", "kind"]),
        "onset_BY_kind_oldface_BY_side_right",
        [None, None, 6, None],
    ),
    "split by a missing value": (step("Split", "onset", By="kind"), "onset_BY_kind_NaN", [None] * 3 + [10]),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_a_column_is_as_in_the_tables(case):
    instruction, name, right = COLUMNS[case]
    found = values(apply(instruction)[name])
    assert found == (right if isinstance(right[0], str) else pytest.approx(right))


def test_a_part_of_a_split_goes_by_both_names():
    made = apply(step("Split", "block", By=["side", "kind"]))
    found = Namespace(made).find("block.side[left].kind[old face]")
    assert found == ["block_BY_kind_oldface_BY_side_left"]


@pytest.mark.parametrize("name", ["onset", "duration"])
def test_moved_times_are_those_of_every_column(name):
    made = apply(step("Add", name, Value=1), step("Subtract", name, Value=0.5, Query="side == left"))
    right = np.array(TABLE[name]) + [0.5, 1, 1, 0.5]
    for column in ("kind", "score", name):
        np.testing.assert_array_equal(getattr(made[column], name), right)
    np.testing.assert_array_equal(made[name].values, right)


def test_replaced_times_are_those_of_the_matching_rows():
    made = apply(step("Replace", "side", Replace=[{"key": "left", "value": 5}], Attribute="all", Output="s"))
    assert values(made["s"]) == ["5", "right", "right", "5"]
    assert values(made["side"]) == TABLE["side"]
    np.testing.assert_array_equal(made["kind"].onset, [5, 3, 6, 5])
    np.testing.assert_array_equal(made["s"].duration, [5, 2, 1, 5])


RUNS = {"onset": list(range(7)), "duration": [1] * 7, "kind": ["f", "f", "h", "h", "f", "h", "c"]}


@pytest.mark.parametrize(
    ("cumulative", "right"), [(False, [1, 2, 1, 2, 1, 1, 1]), (True, [1, 2, 1, 2, 3, 3, 1])]
)
def test_identical_rows_are_counted(cumulative, right):
    made = apply(step("LabelIdenticalRows", ["kind"], Cumulative=cumulative), table=RUNS)
    assert values(made["kind_label"]) == right


def test_missing_rows_are_identical_to_nothing():
    table = RUNS | {"kind": [3, None, None, 3, 3, None, 3]}
    assert values(apply(step("LabelIdenticalRows", "kind"), table=table)["kind_label"]) == [
        1,
        1,
        1,
        1,
        2,
        1,
        1,
    ]
    assert values(apply(step("MergeIdenticalRows", "kind"), table=table)["kind"]) == [
        3,
        None,
        None,
        3,
        None,
        3,
    ]


def test_identical_rows_are_merged_in_time():
    table = {
        "onset": [8, 2, 0, 5],
        "duration": [1, 1, 2, 2],
        "kind": ["h", "f", "f", "h"],
        "note": ["last", "kept", "gone", "gone too"],
    }
    made = apply(step("MergeIdenticalRows", "kind"), table=table)
    assert values(made["kind"]) == ["f", "h"]
    assert values(made["note"]) == ["kept", "last"]
    for column in ("kind", "note"):
        np.testing.assert_array_equal(made[column].onset, [0, 5])
        np.testing.assert_array_equal(made[column].duration, [3, 4])
    assert values(made["duration"]) == [3, 4]


def test_selected_columns_keep_their_times():
    made = apply(step("Select", ["kind"]), step("Add", "onset", Value=1))
    assert set(made) == {"kind", "onset", "duration"}
    np.testing.assert_array_equal(made["kind"].onset, np.array(TABLE["onset"]) + 1)


@pytest.mark.parametrize("pattern", ["(a+)+$", "[ab]", "a{2}", "a*", "a?"])
def test_a_regular_expression_that_may_not_end_is_refused(pattern):
    with pytest.raises(ModelError, match="regular expression"):
        match_texts(np.array(["a" * 50, "b"], object), pattern)


def test_a_text_with_special_characters_stands_for_itself():
    assert match_texts(np.array(["a (b)", "a b"], object), "a (b)").tolist() == [True, False]


REFUSED = {
    "order of texts": (step("Filter", "block", Query="kind > old"), "texts have no order"),
    "a word for a number": (step("Filter", "block", Query="score == high"), "'high' is none"),
    "an unknown column": (step("Filter", "block", Query="skore > 1"), "Did you mean 'score'"),
    "texts": (step("Add", "kind", Value=1), "holds texts"),
    "no number": (step("Add", "block", Value="two"), "must be a number"),
    "no value": (step("Add", "block"), "Add needs Value"),
    "no rules": (step("Replace", "kind", Replace=["a", "b"]), "objects with key and value"),
    "an argument of another": (step("Add", "block", Value=1, Weights=[1]), "Add has no such argument"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_meaning_is_refused(case):
    instruction, message = REFUSED[case]
    with pytest.raises(ModelError, match=message):
        apply(instruction)


def test_onsets_of_what_is_no_column_of_the_events_cannot_be_replaced():
    series = Variable("trans_x", np.array([0.0, 1.0, 2.0]))
    onset = as_values(TABLE["onset"])
    times = Variable("onset", onset, onset, onset, np.arange(len(onset)))
    namespace = Namespace({"trans_x": series, "onset": times})
    steps = [step("Replace", "trans_x", Replace=[{"key": 1, "value": 5}], Attribute="onset")]
    with pytest.raises(ModelError, match="'trans_x' is no column of the events table"):
        transform(namespace, instructions(steps))


@pytest.mark.parametrize(
    "name", ["bidspm", "cpp_spm", "bids-matlab", "bids-matlab_v0.1.0dev", "BIDSPM", "bidspm v3.1"]
)
def test_all_names_of_the_set_mean_it(name):
    (instruction,) = instructions([step("Std", "score")], name)
    assert (instruction.name, instruction.transformer) == ("StdDev", MATLAB_SET)


@pytest.mark.parametrize("name", ["", "fsl", "bidspmx", "pybids-transforms-v2"])
def test_a_set_that_nobody_knows_is_refused_by_name(name):
    with pytest.raises(
        ModelError, match=f"Transformer: '{name}' is no known set.*{PYBIDS_SET} and {MATLAB_SET}"
    ):
        instructions([step("Copy", "score", Output="s")], name)


def test_a_transformer_of_the_other_set_is_named():
    with pytest.raises(
        ModelError, match="no transformer 'Add' in pybids-transforms-v1. It is one of bids-matlab"
    ):
        instructions([step("Add", "score", Value=1)], PYBIDS_SET)
