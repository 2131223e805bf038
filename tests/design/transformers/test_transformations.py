import numpy as np
import pytest

from bidsapp.design.transformers.transform import TRANSFORMERS, transform
from bidsapp.design.transformers.variables import Namespace, Variable, as_values
from bidsapp.errors import ModelError
from bidsapp.records.model import TRANSFORMERS as KNOWN
from bidsapp.records.model import Instruction

ONSET = np.array([0.0, 10.0, 20.0, 30.0])


def sparse(name, values):
    return Variable(name, as_values(np.array(values, object)), ONSET, np.ones(4))


@pytest.fixture
def namespace():
    columns = {
        "kind": ["a", "b", "a", None],
        "gain": [1.0, 2.0, 3.0, 6.0],
        "loss": [0.0, 1.0, 0.0, 2.0],
        "rt": [0.5, None, 0.7, 0.9],
    }
    variables = {name: sparse(name, values) for name, values in columns.items()}
    variables["csf"] = Variable("csf", np.linspace(-1, 1, 20))
    return Namespace(variables, np.arange(20) * 2.0, {"run": "2", "session": "1"})


def apply(namespace, name, **arguments):
    for key in ("Input", "Output", "Target", "Other", "By", "GroupBy"):
        if isinstance(arguments.get(key), str):
            arguments[key] = (arguments[key],)
    transform(namespace, (Instruction(name, arguments, "Nodes[0].Transformations.Instructions[0]"),))
    return namespace.variables


def values(variable):
    return [None if v != v else v for v in variable.values.tolist()]


def test_every_transformer_of_the_set_is_there():
    assert TRANSFORMERS.keys() == KNOWN.keys()
    assert len(TRANSFORMERS) == 24


def test_factor_makes_levels_and_removes_the_original(namespace):
    made = apply(namespace, "Factor", Input="kind")
    assert values(made["kind.a"]) == [1, 0, 1, None]
    assert values(made["kind.b"]) == [0, 1, 0, None]
    assert "kind" not in made


def test_factor_of_whole_numbers_has_names_without_decimals(namespace):
    made = apply(namespace, "Factor", Input="loss")
    assert [name for name in made if name.startswith("loss")] == ["loss.0", "loss.1", "loss.2"]


@pytest.mark.parametrize(("constraint", "first"), [("drop_one", 0.0), ("mean_zero", -1.0)])
def test_factor_with_a_reference_level(namespace, constraint, first):
    made = apply(namespace, "Factor", Input="kind", Constraint=constraint)
    assert "kind.a" not in made
    assert values(made["kind.b"]) == [first, 1.0, first, None]


def test_threshold_keeps_values_that_equal_it_as_pybids_does(namespace):
    made = apply(namespace, "Threshold", Input="gain", Threshold=2, Output="high")
    assert values(made["high"]) == [0, 2, 3, 6]
    assert values(made["gain"]) == [1, 2, 3, 6]


def test_threshold_of_zero_binarized_is_all_trials(namespace):
    made = apply(namespace, "Threshold", Input="loss", Binarize=True, Output="all")
    assert values(made["all"]) == [1, 1, 1, 1]


def test_threshold_below_and_unsigned(namespace):
    namespace.variables["s"] = sparse("s", [-3.0, -1.0, 1.0, 3.0])
    made = apply(namespace, "Threshold", Input="s", Threshold=2, Above=False, Signed=False, Output="low")
    assert values(made["low"]) == [0, 1, 1, 0]


def test_demean_leaves_missing_values_out(namespace):
    made = apply(namespace, "Demean", Input="rt")
    np.testing.assert_allclose(np.nanmean(made["rt"].values), 0, atol=1e-12)
    assert values(made["rt"])[1] is None


def test_demean_within_groups(namespace):
    namespace.variables["kind"] = sparse("kind", ["a", "b", "a", "b"])
    made = apply(namespace, "Demean", Input="gain", GroupBy="kind")
    assert values(made["gain"]) == [-1, -2, 1, 2]


def test_scale_uses_the_sample_deviation(namespace):
    made = apply(namespace, "Scale", Input="gain", Output="z")
    np.testing.assert_allclose(np.std(made["z"].values, ddof=1), 1)


@pytest.mark.parametrize(("when", "expected"), [("after", 0.0), ("before", -0.525)])
def test_scale_replaces_missing_values_when_asked(namespace, when, expected):
    made = apply(namespace, "Scale", Input="rt", Rescale=False, ReplaceNa=when)
    np.testing.assert_allclose(made["rt"].values[1], expected)


def test_scale_of_a_constant_is_zero_and_no_failure(namespace):
    namespace.variables["c"] = sparse("c", [3.0, 3.0, 3.0, 3.0])
    assert values(apply(namespace, "Scale", Input="c")["c"]) == [0, 0, 0, 0]


def test_product_sum_and_weights(namespace):
    made = apply(namespace, "Product", Input=("gain", "loss"), Output="p")
    assert values(made["p"]) == [0, 2, 0, 12]
    made = apply(namespace, "Sum", Input=("gain", "loss"), Output="s", Weights=[1, -1])
    assert values(made["s"]) == [1, 1, 3, 4]


def test_logic(namespace):
    apply(namespace, "Factor", Input="kind")
    assert values(apply(namespace, "And", Input=("kind.a", "loss"), Output="x")["x"]) == [0, 0, 0, 0]
    assert values(apply(namespace, "Or", Input=("kind.b", "loss"), Output="y")["y"]) == [0, 1, 0, 1]
    assert values(apply(namespace, "Not", Input="loss", Output="n")["n"]) == [1, 0, 1, 0]


def test_logic_takes_comparisons_as_inputs(namespace):
    made = apply(namespace, "And", Input=("kind==a", "gain>2"), Output="x")
    assert values(made["x"]) == [0, 0, 1, 0]


def test_or_of_an_absent_condition_is_the_other(namespace):
    apply(namespace, "Factor", Input="kind")
    made = apply(namespace, "Or", Input=("kind.a", "kind.z"), Output="any")
    assert values(made["any"])[:3] == [1, 0, 1]
    assert "kind.z" in namespace.missing


def test_product_with_an_absent_condition_is_missing(namespace):
    made = apply(namespace, "Product", Input=("gain", "absent"), Output="p")
    assert "p" not in made
    assert {"absent", "p"} <= set(namespace.missing)


def test_assign_gives_response_times_as_durations(namespace):
    apply(namespace, "Factor", Input="kind")
    made = apply(namespace, "Assign", Input="gain", Target="kind.a", TargetAttr="duration")
    assert made["kind.a"].duration.tolist() == [1, 2, 3, 6]


@pytest.mark.parametrize(("target", "noted"), [("kind.a", True), ("all", False)])
def test_assigned_amplitudes_of_events_that_had_none_are_noted(namespace, target, noted):
    """The values are those of pybids: every event gets one."""
    namespace.variables["all"] = sparse("all", [1.0, 1.0, 1.0, 1.0])
    apply(namespace, "Factor", Input="kind")
    made = apply(namespace, "Assign", Input="gain", Target=target)
    assert made[target].values.tolist() == [1, 2, 3, 6]
    assert any("a Product of both" in note for note in namespace.notes) is noted


def test_assigned_missing_value_takes_the_event_away(namespace):
    namespace.variables["all"] = sparse("all", [1.0, 1.0, 1.0, 1.0])
    made = apply(namespace, "Assign", Input="rt", Target="all", TargetAttr="duration")
    assert values(made["all"]) == [1, None, 1, 1]
    assert any("1 of 4 events" in note for note in namespace.notes)


def test_assign_of_another_number_of_events_is_refused(namespace):
    namespace.variables["short"] = Variable("short", np.ones(2), ONSET[:2] + 0.5, np.ones(2))
    with pytest.raises(ModelError, match=r"Instructions\[0\] \(Assign\): 'gain' has 4 events and 'short' 2"):
        apply(namespace, "Assign", Input="gain", Target="short")


def test_replace_levels_numbers_and_durations(namespace):
    made = apply(namespace, "Replace", Input="kind", Replace={"a": "x", "b": "x"})
    assert made["kind"].values.tolist() == ["x", "x", "x", None]
    made = apply(namespace, "Replace", Input="gain", Replace={"6": 4})
    assert values(made["gain"]) == [1, 2, 3, 4]
    made = apply(namespace, "Replace", Input="gain", Replace={"1": "0.5"}, Attribute="duration")
    assert made["gain"].duration.tolist() == [0.5] * 4


def test_copy_rename_delete_select(namespace):
    made = apply(namespace, "Copy", Input="gain", Output="g2")
    assert values(made["g2"]) == values(made["gain"])
    made = apply(namespace, "Rename", Input="g2", Output="g3")
    assert "g2" not in made
    assert made["g3"].name == "g3"
    assert "g3" not in apply(namespace, "Delete", Input="g3")
    assert list(apply(namespace, "Select", Input=("gain", "csf"))) == ["gain", "csf"]


def test_filter_keeps_the_events_of_a_query(namespace):
    made = apply(namespace, "Filter", Input="gain", Query="gain > 1 and kind == 'a'", By="kind")
    assert values(made["gain"]) == [3]
    assert made["gain"].onset.tolist() == [20.0]


def test_drop_missing_removes_events(namespace):
    assert len(apply(namespace, "DropNA", Input="rt")["rt"].values) == 3


def test_split_by_a_column_and_by_an_entity(namespace):
    made = apply(namespace, "Split", Input="gain", By="kind")
    assert values(made["gain.kind[a]"]) == [1, 3]
    made = apply(namespace, "Split", Input="loss", By="run")
    assert values(made["loss.run[2]"]) == [0, 1, 0, 2]


def test_split_into_too_many_parts_is_refused(namespace):
    namespace.variables["trial"] = Variable("trial", np.arange(40.0), np.arange(40.0), np.zeros(40))
    for name in "abc":
        namespace.variables[name] = namespace.variables["trial"].with_values(np.arange(40.0), name)
    with pytest.raises(ModelError, match="'trial' splits into more than 1000 parts"):
        apply(namespace, "Split", Input="trial", By=("a", "b", "c"))


def test_lag_shifts_and_takes_differences(namespace):
    made = apply(namespace, "Lag", Input="gain", Output="before", Order=1)
    np.testing.assert_allclose(made["before"].values, [1, 1, 2, 3])
    made = apply(namespace, "Lag", Input="gain", Output="change", Order=1, Difference=True)
    np.testing.assert_allclose(made["change"].values, [0, 1, 1, 3])


def test_orthogonalize_removes_what_others_explain(namespace):
    made = apply(namespace, "Orthogonalize", Input="gain", Other="loss", Output="o")
    loss = made["loss"].values - made["loss"].values.mean()
    assert abs(made["o"].values @ loss) < 1e-12


def test_group_is_a_name_for_several(namespace):
    apply(namespace, "Group", Input=("gain", "loss"), Output="both")
    made = apply(namespace, "Sum", Input="@both", Output="s")
    assert values(made["s"]) == [1, 3, 3, 8]


def test_dense_and_sparse_meet_at_the_volumes(namespace):
    made = apply(namespace, "Product", Input=("gain", "csf"), Output="p")
    assert made["p"].values.shape == (20,)


@pytest.mark.parametrize("name", ["ToDense", "Resample"])
def test_sampling_rounds_events_to_a_grid_of_its_rate(name):
    event = Variable("a", np.array([1.0, 2.0]), np.array([0.13, 5.26]), np.array([0.0, 1.01]))
    made = apply(Namespace({"a": event}, np.arange(20) * 2.0), name, Input="a", Output="d", SamplingRate=10)
    np.testing.assert_allclose(made["d"].onset, [0.1, 5.3])
    np.testing.assert_allclose(made["d"].duration, [0.1, 1.0])


@pytest.mark.parametrize("rate", [{}, {"SamplingRate": "TR"}, {"SamplingRate": 0.5}])
def test_sampling_at_the_volumes_changes_no_dense_variable(namespace, rate):
    made = apply(namespace, "Resample", Input="csf", Output="d", **rate)
    np.testing.assert_array_equal(made["d"].values, made["csf"].values)


def test_sampling_at_a_lower_rate_loses_what_is_fast():
    fast = Variable("a", np.tile([0.0, 1.0], 10))
    made = apply(
        Namespace({"a": fast}, np.arange(20) * 2.0), "Resample", Input="a", Output="d", SamplingRate=0.25
    )
    np.testing.assert_array_equal(made["d"].values[:19], 0)


def test_prefix_and_suffix_of_outputs(namespace):
    made = apply(namespace, "Demean", Input=("gain", "loss"), OutputPrefix="c_", OutputSuffix="_x")
    assert {"c_gain_x", "c_loss_x", "gain"} <= set(made)


def test_number_of_outputs_must_fit(namespace):
    with pytest.raises(ModelError, match="2 inputs and 1 outputs"):
        apply(namespace, "Demean", Input=("gain", "loss"), Output="x")


def test_arithmetic_on_texts_is_refused(namespace):
    with pytest.raises(ModelError, match="'kind' holds texts"):
        apply(namespace, "Demean", Input="kind")


def test_convolving_texts_is_refused_with_the_remedy(namespace):
    with pytest.raises(ModelError, match="Use Factor before Convolve"):
        apply(namespace, "Convolve", Input="kind")


def test_texts_with_underscores_between_digits_are_no_numbers():
    assert as_values(np.array(["1_2", "3"], object)).tolist() == ["1_2", "3"]
