"""What a model means is what is computed: values of the three-condition dataset, by other routes."""

import numpy as np
import pytest
from documents import contrast, make_node, write_model
from scipy.stats import ttest_rel
from three_conditions import (
    CONDITIONS,
    DATASET,
    DIGITS,
    ESTIMATED,
    RUN,
    SUBJECT,
    column,
    make_model,
    make_three_conditions,
    plan,
    read_map,
    run_app,
)

from bidsapp.errors import AppError, ModelError
from bidsapp.plan import make_group_plan
from bidsapp.settings.parts import ModelOptions, Settings

THIRD = ["1/3"] * 3
A_MINUS_B, MEAN = contrast("aMinusB", CONDITIONS[:2], [1, -1]), contrast("mean", CONDITIONS, THIRD)
ABC = {"contrast": CONDITIONS}


def edge(source, destination, rule=None):
    return {"Source": source, "Destination": destination} | ({"Filter": rule} if rule else {})


@pytest.fixture(scope="module")
def combined(three_conditions, tmp_path_factory):
    """Contrasts made in the run and combined, and made of the combined conditions, of sub-01."""
    folder = tmp_path_factory.mktemp("combined")
    afterwards = make_node(
        SUBJECT, Name="afterwards", GroupBy=["subject"], Model={"X": CONDITIONS}, DummyContrasts=None
    )
    difference = contrast("differ", CONDITIONS, [[1, -1, 0], [0, 1, -1]], "F")
    afterwards["Contrasts"] = [A_MINUS_B, MEAN, difference]
    model = make_model(
        make_node(RUN, Contrasts=[A_MINUS_B, MEAN]),
        make_node(SUBJECT, Name="direct"),
        afterwards,
        Edges=[edge("run", "direct", {"contrast": ["aMinusB", "mean"]}), edge("run", "afterwards", ABC)],
    )
    assert run_app(three_conditions, model, folder, "--participant-label", "01") == 0
    return folder


@pytest.mark.parametrize(
    ("node", "name", "effect", "variance"),
    [
        ("afterwards", "aMinusB", 1.206871, 0.232044),
        ("afterwards", "mean", 1.695168, 0.300717),
        ("direct", "aMinusB", 1.203668, 0.233252),
        ("direct", "mean", 1.707161, 0.304049),
    ],
)
def test_contrasts_of_contrasts_have_the_covariance_of_their_run(combined, node, name, effect, variance):
    assert read_map(combined, node, name, "effect").mean() == pytest.approx(effect, abs=DIGITS)
    found = read_map(combined, node, name, "variance").mean() / variance
    assert 1.0 < found < 1.0 + ESTIMATED


def test_one_voxel_of_contrasts_of_contrasts(combined):
    effect, variance = (
        read_map(combined, "afterwards", "aMinusB", stat)[0, 0, 0] for stat in ("effect", "variance")
    )
    assert effect == pytest.approx(1.884107, abs=DIGITS)
    assert 1.0 < variance / 0.225725 < 1.0 + ESTIMATED


def test_an_f_test_of_contrasts_is_about_one_where_they_hardly_differ(combined):
    # b and c differ little, a and b much: F of both rows is at least half the square of the t of one.
    t = read_map(combined, "afterwards", "aMinusB", "t")
    assert (read_map(combined, "afterwards", "differ", "F") >= np.square(t) / 2 - 1e-6).all()


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Return the results of a model with sessions in between, and of one without, of two sessions."""
    folder = tmp_path_factory.mktemp("sessions")
    data = make_three_conditions(folder / "data", n_subjects=1, sessions=("pre", "post"))
    session = make_node(
        SUBJECT, Level="Session", Name="session", GroupBy=["subject", "session"], Model={"X": CONDITIONS}
    )
    last = make_node(SUBJECT, GroupBy=["subject"], Model={"X": CONDITIONS}, Contrasts=[A_MINUS_B, MEAN])
    last["DummyContrasts"] = {"Test": "t", "Contrasts": ["trial_type.c"]}
    straight = make_node(last, Name="straight")
    model = make_model(
        make_node(RUN, GroupBy=["run", "session", "subject"]),
        session,
        last,
        straight,
        Edges=[edge("run", "session"), edge("session", "subject"), edge("run", "straight")],
    )
    assert run_app(data, model, folder) == 0
    return folder


def test_sessions_in_between_do_not_change_contrasts_of_contrasts(sessions):
    for name in ("aMinusB", "mean", "trialTypeC"):
        for stat in ("variance", "dof"):
            pair = [read_map(sessions, node, name, stat) for node in ("subject", "straight")]
            # The corrections for estimated weights of two steps and of one agree to first order in 1 / dof.
            np.testing.assert_allclose(*pair, rtol=3e-3)


def test_sessions_in_between_hardly_weigh_the_effects_anew(sessions):
    # The variance of a session is enlarged by 1 to 1 + ESTIMATED for the estimated weights of its runs (Meier
    # 1953). So its weight w is that of its runs but for up to ESTIMATED * w (1 - w), at most a quarter.
    effects = {}
    for name in ("trialTypeA", "trialTypeB", "trialTypeC"):
        pre, post = (
            read_map(sessions, "session", name, "effect", where=f"sub-01/ses-{s}/func")
            for s in ("pre", "post")
        )
        effects[name] = pre - post
    apart = {
        "aMinusB": effects["trialTypeA"] - effects["trialTypeB"],
        "mean": sum(effects.values()) / 3,
        "trialTypeC": effects["trialTypeC"],
    }
    for name, difference in apart.items():
        one, two = (read_map(sessions, node, name, "effect") for node in ("subject", "straight"))
        assert 0 < np.std(one - two) < ESTIMATED / 4 * np.std(difference)


def test_least_squares_over_contrasts_of_one_run_are_refused(three_conditions, tmp_path):
    literal = {"TaskGLM": {"SubjectLevel": "ols"}}
    node = make_node(SUBJECT, GroupBy=["subject"], Model={"X": CONDITIONS, "Software": literal})
    with pytest.raises(ModelError, match=r"several of them are contrasts of one run.*Run node 'run'"):
        plan(three_conditions, make_model(RUN, node), tmp_path)


def test_boosted_effects_of_one_run_are_not_combined(three_conditions, tmp_path):
    node = make_node(SUBJECT, GroupBy=["subject"], Model={"X": CONDITIONS})
    flags = ["--derivative-boost", "--dry-run", "--participant-label", "01"]
    assert run_app(three_conditions, make_model(RUN, node), tmp_path, *flags) == 64


def estimates_of_group(three_conditions, model, folder):
    """Run the participant level and return a function that plans the group level of a model."""
    assert run_app(three_conditions, model, folder) == 0

    def plan_group(document):
        settings = Settings(
            three_conditions,
            folder / "out",
            ("group",),
            model=ModelOptions(model=str(write_model(document, folder))),
        )
        return make_group_plan(settings)

    return plan_group


@pytest.fixture(scope="module")
def plan_group(three_conditions, tmp_path_factory):
    """Return a function that plans a Dataset node over the estimates of 8 subjects."""
    folder = tmp_path_factory.mktemp("group")
    plan_model = estimates_of_group(three_conditions, make_model(RUN, SUBJECT), folder)

    def plan_node(node, rule=None, people=None, edges=None):
        edges = edges or [edge("subject", "dataset", rule)]
        model = make_model(RUN, SUBJECT, node, Edges=[edge("run", "subject"), *edges])
        before = (three_conditions / "participants.tsv").read_text()
        (three_conditions / "participants.tsv").write_text(people or before)
        try:
            return plan_model(model)
        finally:
            (three_conditions / "participants.tsv").write_text(before)

    return plan_node


def subjects_of(made):
    """Return node -> contrast -> the numbers of its subjects."""
    return {
        fit.node: {
            f.contrast: [int(s[-2:]) for s in f.subjects]
            for m in made.models
            for f in m.fits
            if f.node == fit.node
        }
        for model in made.models
        for fit in model.fits
    }


TWO = ["contrast.trial_type.a", "contrast.trial_type.b"]
OF_CONTRASTS = make_node(
    DATASET,
    GroupBy=[],
    Transformations={
        "Transformer": "pybids-transforms-v1",
        "Instructions": [{"Name": "Factor", "Input": ["contrast"]}],
    },
    Model={"X": TWO},
    DummyContrasts=None,
    Contrasts=[contrast("differ", TWO, [1, -1])],
)


def test_rows_of_one_subject_do_not_count_as_independent_subjects(plan_group):
    with pytest.raises(ModelError, match=r"sub-01 enters 2 times.*Subject node.*Factor of 'subject'"):
        plan_group(OF_CONTRASTS, {"contrast": CONDITIONS[:2]})


def test_rows_of_one_subject_are_told_apart_by_its_own_mean(plan_group):
    steps = {
        "Transformer": "pybids-transforms-v1",
        "Instructions": [{"Name": "Factor", "Input": ["contrast", "subject"]}],
    }
    node = make_node(OF_CONTRASTS, Transformations=steps, Model={"X": [*TWO, "subject.*"]})
    made = plan_group(node, {"contrast": CONDITIONS[:2]})
    ((fit,),) = [model.fits for model in made.models]
    assert len(fit.design.matrix) - np.linalg.matrix_rank(fit.design.matrix) == 7


def test_contrasts_of_the_same_runs_are_not_weighed_as_independent(plan_group):
    steps = {
        "Transformer": "pybids-transforms-v1",
        "Instructions": [{"Name": "Factor", "Input": ["contrast", "subject"]}],
    }
    model = {"Type": "meta", "X": [*TWO, "subject.*"]}
    with pytest.raises(ModelError, match="sub-01 enters with several contrasts of the same runs.*Run node"):
        plan_group(make_node(OF_CONTRASTS, Transformations=steps, Model=model), {"contrast": CONDITIONS[:2]})


def test_overlapping_edges_lead_an_estimate_in_once(plan_group):
    first, more = {"contrast": CONDITIONS[:1]}, {"group": ["patient"], "contrast": CONDITIONS[:2]}
    made = plan_group(DATASET, edges=[edge("subject", "dataset", rule) for rule in (first, more)])
    found = subjects_of(made)["dataset"]
    assert found == {"trial_type.a": [1, 2, 3, 4, 5, 6, 7, 8], "trial_type.b": [1, 3, 5, 7]}
    assert any("several edges lead trial_type.a into 'dataset'" in note for note in made.notes)


def test_overlapping_edges_between_runs_and_subjects(three_conditions, tmp_path):
    rules = [{"contrast": CONDITIONS[:2]}, {"contrast": CONDITIONS[::2]}]
    made = plan(
        three_conditions, make_model(RUN, SUBJECT, Edges=[edge("run", "subject", r) for r in rules]), tmp_path
    )
    assert [len(fit.inputs) for fit in made.subjects[0].combinations] == [2, 2, 2]
    assert any("trial_type.a into 'subject'" in note for note in made.notes)


PEOPLE = "participant_id\tgroup\tsite\n" + "".join(
    f"sub-{k:02d}\t{group}\t{site}\n"
    for k, (group, site) in enumerate(
        [
            ("None", 1),
            ("Med", 2),
            ("None", 1),
            ("Med", 2),
            ("n/a", "n/a"),
            ("Med", 2),
            ("n/a", "n/a"),
            ("Med", 2),
        ],
        1,
    )
)


@pytest.mark.parametrize(
    ("column", "groups"),
    [
        ("group", {"dataset None": [1, 3], "dataset Med": [2, 4, 6, 8]}),
        ("site", {"dataset 1": [1, 3], "dataset 2": [2, 4, 6, 8]}),
    ],
)
def test_who_has_no_value_of_a_grouping_column_is_left_out(plan_group, column, groups):
    rule = {"contrast": CONDITIONS[:1]}
    made = plan_group(make_node(DATASET, GroupBy=["contrast", column]), rule, PEOPLE)
    assert {node: fits["trial_type.a"] for node, fits in subjects_of(made).items()} == groups
    said = " ".join(made.notes)
    assert "sub-05 is left out" in said
    assert "sub-07 is left out" in said


@pytest.mark.parametrize("value", [1, "1", "01", 1.0])
def test_whole_numbers_of_participants_are_the_same_in_any_spelling(plan_group, value):
    made = plan_group(DATASET, {"contrast": CONDITIONS[:1], "site": [value]}, PEOPLE)
    assert subjects_of(made) == {"dataset": {"trial_type.a": [1, 3]}}


@pytest.mark.parametrize("name", ["C(site)[2]", "C(site)[2.0]"])
def test_levels_of_numbers_in_a_formula_have_no_decimals(plan_group, name):
    node = make_node(DATASET, Model={"X": ["site"], "Formula": "0 + C(site)"}, DummyContrasts=None)
    node["Contrasts"] = [contrast("second", [name], [1])]
    made = plan_group(node, {"contrast": CONDITIONS[:1]}, PEOPLE)
    ((fit,),) = [model.fits for model in made.models]
    assert fit.design.columns == ("C(site)[1]", "C(site)[2]")


def run_with(*instructions, x, set_of="pybids-transforms-v1"):
    return make_node(
        RUN,
        Transformations={"Transformer": set_of, "Instructions": list(instructions)},
        Model={"X": [*x, 1], "HRF": {"Variables": list(x), "Model": "spm"}},
        DummyContrasts={"Contrasts": list(x), "Test": "t"},
    )


SPLIT = {"Name": "Split", "Input": ["response_time"], "By": ["trial_type"]}
PART = "response_time.trial_type[a]"


@pytest.mark.parametrize(
    ("step", "right"),
    [
        ({"Name": "Demean"}, [0.0001, 0.0545, -0.2954, 0.1051]),
        ({"Name": "Scale"}, [0.0002, 0.1876, -1.0157, 0.3614]),
        ({"Name": "Threshold", "Binarize": True}, [0.1092, 0.1526, -0.0585, 0.4482]),
    ],
)
def test_a_part_of_a_split_has_only_its_own_events(three_conditions, tmp_path, step, right):
    model = make_model(run_with(SPLIT, step | {"Input": [PART]}, x=[PART]))
    values = column(plan(three_conditions, model, tmp_path), PART)
    found = [values.mean(), values.std(ddof=1), values.min(), values.max()]
    assert found == pytest.approx(right, abs=6e-5)


def test_other_columns_follow_a_part_to_its_events(three_conditions, tmp_path):
    steps = [SPLIT, {"Name": "Assign", "Input": "gain", "Target": PART}]
    steps.append({"Name": "Filter", "Input": [PART], "Query": "gain > 20", "By": ["gain"]})
    (other,) = [
        {"Name": "Filter", "Input": ["gain"], "Query": "trial_type == a and gain > 20", "By": ["trial_type"]}
    ]
    made = plan(three_conditions, make_model(run_with(*steps, x=[PART])), tmp_path)
    alike = plan(three_conditions, make_model(run_with(other, x=["gain"])), tmp_path)
    np.testing.assert_allclose(column(made, PART), column(alike, "gain"), atol=1e-12)


def test_names_with_one_label_are_refused_before_anything_is_computed(three_conditions, tmp_path):
    x = ["trial_type.go_1", "trial_type.go-1"]
    steps = [{"Name": "Replace", "Input": ["trial_type"], "Replace": {"a": "go_1", "b": "go-1"}}]
    with pytest.raises(
        ModelError, match="go_1' and 'trial_type.go-1' give the same file name label 'trialTypeGo1'"
    ):
        plan(three_conditions, make_model(run_with(*steps, x=x)), tmp_path)


def test_nodes_with_one_label_are_refused(three_conditions, tmp_path):
    nodes = [make_node(SUBJECT, Name=name) for name in ("sub ject", "subJect")]
    edges = [edge("run", node["Name"]) for node in nodes]
    with pytest.raises(ModelError, match="'subJect' and 'sub ject' give the same file name label 'subJect'"):
        plan(three_conditions, make_model(RUN, *nodes, Edges=edges), tmp_path)


def filtered(query, by):
    factor = {"Name": "Factor", "Input": ["trial_type"]}
    step = {"Name": "Filter", "Input": ["trial_type.a"], "Query": query, "By": by}
    return make_model(run_with(factor, step, x=["trial_type.a", "trial_type.b"]))


def test_a_query_keeps_the_events_that_satisfy_it(three_conditions, tmp_path):
    values = column(plan(three_conditions, filtered("gain > 20", ["gain"]), tmp_path), "trial_type.a")
    assert [values.mean(), values.std(ddof=1)] == pytest.approx([0.0592, 0.1239], abs=6e-5)


@pytest.mark.parametrize(
    ("query", "near"),
    [
        ("gian > 20", "gain"),
        ("Gain > 20", "gain"),
        ("gian == 20", "gain"),
        ("20 < gain & response_tme > 1", "response_time"),
    ],
)
def test_a_word_of_a_query_that_is_no_column_is_refused(three_conditions, tmp_path, query, near):
    with pytest.raises(AppError, match=f"there is no column.*Did you mean '{near}'") as error:
        plan(three_conditions, filtered(query, ["gain"]), tmp_path)
    assert error.value.exit_code == 65


@pytest.mark.parametrize(
    ("query", "said"), [("gain > 90", "keeps none of the"), ("gain > 0", "keeps all of the")]
)
def test_a_query_that_changes_nothing_is_named(three_conditions, tmp_path, query, said):
    assert any(said in note for note in plan(three_conditions, filtered(query, ["gain"]), tmp_path).notes)


def test_runs_that_a_dataset_node_keeps_apart_have_files_of_their_own(three_conditions, tmp_path):
    run = make_node(RUN, Contrasts=[contrast("aMinusB", CONDITIONS[:2], [1, -1])], DummyContrasts=None)
    model = make_model(run, make_node(DATASET, GroupBy=["contrast", "run"]))
    assert run_app(three_conditions, model, tmp_path, levels=("participant", "group")) == 0
    for label in ("run-1", "run-2"):
        maps = [
            read_map(tmp_path, "run", "aMinusB", "effect", f"sub-{k:02d}/func", f"_{label}_")
            for k in range(1, 9)
        ]
        found = read_map(tmp_path, "dataset", "aMinusB", "effect", "group", f"_{label}_")
        np.testing.assert_allclose(found, np.mean(maps, axis=0), rtol=1e-5)


def test_name_of_x_that_a_transformation_took_away_is_refused(three_conditions, tmp_path):
    step = {"Name": "Rename", "Input": ["age"], "Output": ["years"]}
    steps = {"Transformer": "pybids-transforms-v1", "Instructions": [step]}
    dataset = make_node(DATASET, Model={"X": [1, "age"]}, Transformations=steps)
    with pytest.raises(ModelError, match=r"Nodes\[2\].Model.X: the Transformations leave no 'age'"):
        plan(three_conditions, make_model(RUN, SUBJECT, dataset), tmp_path)


def test_pairs_by_factors_of_contrast_and_subject_are_a_paired_test(three_conditions, tmp_path):
    run = make_node(RUN, DummyContrasts={"Test": "t", "Contrasts": CONDITIONS[:2]})
    factors = [{"Name": "Factor", "Input": [name]} for name in ("contrast", "subject")]
    pair = [f"contrast.{name}" for name in CONDITIONS[:2]]
    dataset = make_node(
        DATASET,
        GroupBy=[],
        Model={"X": [*pair, "subject"]},
        Transformations={"Transformer": "pybids-transforms-v1", "Instructions": factors},
        Contrasts=[contrast("difference", pair, [1, -1])],
        DummyContrasts=None,
    )
    model = make_model(run, SUBJECT, dataset)
    assert run_app(three_conditions, model, tmp_path, levels=("participant", "group")) == 0
    a, b = (
        np.array([read_map(tmp_path, "subject", name, "effect", f"sub-{k:02d}/func") for k in range(1, 9)])
        for name in ("trialTypeA", "trialTypeB")
    )
    expected = ttest_rel(a, b).statistic
    np.testing.assert_allclose(read_map(tmp_path, "dataset", "*", "t", "group"), expected, rtol=1e-4)
