import json

import numpy as np
import pytest

from bidsapp.design.group.cells import read_factors
from bidsapp.design.group.commands import Known, make_group_document, split_words
from bidsapp.errors import SettingsError
from bidsapp.model.read import parse_model

KNOWN = Known(
    contrasts=("IniFF", "ImmFF", "IniSF", "ImmSF", "A", "B"),
    columns={
        "group": ["old", "young", "old", None],
        "age": [20.0, 30.0, 40.0, None],
        "site": ["x", "y", "z", "x"],
    },
    labels={"ses": ["pre", "post"], "task": ["x"]},
)


def node_of(*words, contrasts=(), **more):
    """Return the node of a design; the document is a model that the reader accepts."""
    document = make_group_document(words, contrasts, KNOWN, **more)
    parse_model(json.dumps(document), "the command")
    return document["Nodes"][0]


def by_name(node):
    return {contrast["Name"]: contrast for contrast in node["Contrasts"]}


def within(node):
    return {item["Name"]: item for item in node["Model"]["Software"]["TaskGLM"]["SubjectContrasts"]}


def test_one_sample_is_the_mean():
    node = node_of("one-sample")
    assert node["Model"]["X"] == [1]
    assert node["Contrasts"] == [{"Name": "mean", "ConditionList": [1], "Weights": [1.0], "Test": "t"}]


def test_two_samples_are_two_means_and_their_difference():
    node = node_of("two-sample", "group")
    assert node["Model"]["X"] == ["group.old", "group.young"]
    assert by_name(node)["old vs young"]["Weights"] == [1.0, -1.0]


def test_groups_with_a_covariate_have_it_centred():
    node = node_of("two-sample", "group", "covariate", "age")
    assert node["Model"]["X"] == ["group.old", "group.young", "age"]
    names = [step["Name"] for step in node["Transformations"]["Instructions"]]
    assert names == ["Factor", "Demean"]


def test_covariate_by_group_has_a_slope_a_group_and_their_differences():
    node = node_of("anova", "site", "covariate-by-group", "age")
    assert node["Model"]["X"][3:] == ["age:site.x", "age:site.y", "age:site.z"]
    made = by_name(node)
    assert made["age in x"]["ConditionList"] == ["age:site.x"]
    assert made["age x vs z"]["Weights"] == [1.0, -1.0]
    assert (made["age x site"]["Test"], len(made["age x site"]["Weights"])) == ("F", 2)


def test_anova_has_the_f_of_all_differences():
    contrast = by_name(node_of("anova", "site"))["site"]
    assert (contrast["Test"], np.linalg.matrix_rank(contrast["Weights"])) == ("F", 2)


def test_covariate_stands_beside_the_mean():
    node = node_of("covariate", "age")
    assert node["Model"]["X"] == [1, "age"]
    assert set(by_name(node)) == {"mean", "age"}


def test_paired_is_the_difference_of_two_contrasts_of_a_subject():
    item = within(node_of("paired", "A", "B"))["A vs B"]
    assert (item["Cells"], item["Weights"]) == (["A", "B"], [[1.0, -1.0]])


def test_paired_sessions_are_compared_in_every_contrast():
    node = node_of("paired", "ses-pre", "ses-post")
    item = within(node)["ses-pre vs ses-post"]
    assert (item["Cells"], item["Weights"]) == ([{"session": "pre"}, {"session": "post"}], [[1.0, -1.0]])
    assert node["GroupBy"] == ["contrast", "task"]


def test_sessions_alone_make_a_factor_named_session():
    assert list(within(node_of("repeated-measures", "ses-pre,ses-post"))) == ["session"]


def test_repeated_measures_have_main_effects_and_interactions():
    items = within(node_of("repeated-measures", "stimulus=FF,SF", "presentation=Ini,Imm"))
    assert items["stimulus"]["Cells"] == ["IniFF", "ImmFF", "IniSF", "ImmSF"]
    assert items["stimulus"]["Weights"] == [[0.5, 0.5, -0.5, -0.5]]
    assert items["presentation"]["Weights"] == [[0.5, -0.5, 0.5, -0.5]]
    assert items["stimulus x presentation"]["Weights"] == [[1.0, -1.0, -1.0, 1.0]]


def test_level_in_an_expression_is_the_mean_of_its_cells():
    words = ("repeated-measures", "stimulus=FF,SF", "presentation=Ini,Imm")
    item = within(node_of(*words, contrasts=["x=FF - IniSF; SF - ImmFF"]))["x"]
    assert item["Weights"] == [[0.5, 0.5, -1.0, 0.0], [0.0, -1.0, 0.5, 0.5]]


def test_pooled_error_has_a_column_a_cell_and_a_column_a_subject():
    words = ("repeated-measures", "stimulus=FF,SF", "presentation=Ini,Imm")
    node = node_of(*words, error_term="pooled")
    assert node["Model"]["X"] == [
        "contrast.IniFF",
        "contrast.ImmFF",
        "contrast.IniSF",
        "contrast.ImmSF",
        "subject.*",
    ]
    assert node["GroupBy"] == ["session", "task"]


def test_within_and_between_go_together():
    node = node_of("paired", "A", "B", "two-sample", "group")
    assert node["Model"]["X"] == ["group.old", "group.young"]
    assert list(within(node)) == ["A vs B"]
    assert by_name(node)["mean over groups"]["Weights"] == [0.5, 0.5]


def test_weights_by_size_need_groups_and_cells():
    with pytest.raises(SettingsError, match="--weights size: there is nothing to weigh"):
        make_group_document(("two-sample", "group"), (), KNOWN, weights="size")
    words = ("paired", "A", "B", "two-sample", "group")
    (node,) = make_group_document(words, (), KNOWN, weights="size")["Nodes"]
    assert node["Model"]["Software"]["TaskGLM"]["GroupWeights"] == "size"


def test_expressions_beside_cells_are_over_cells_or_over_columns():
    expressions = ["most=2 * group.old - group.young", "iq=age", "all=(A + B) / 2", "f=group.old; age"]
    node = node_of("paired", "A", "B", "two-sample", "group", "covariate", "age", contrasts=expressions)
    assert list(within(node)) == ["A vs B", "all"]
    made = by_name(node)
    assert made["most"]["Weights"] == [2.0, -1.0]
    assert (made["iq"]["ConditionList"], made["f"]["Test"]) == (["age"], "F")
    assert "age" in made  # those that come with the design stay


def test_expression_over_cells_and_columns_is_refused_with_what_to_do():
    words = ("paired", "A", "B", "two-sample", "group")
    with pytest.raises(SettingsError, match="x: it is over cells of subjects .* Write one contrast of each"):
        make_group_document(words, ["x=A - group.old"], KNOWN)
    with pytest.raises(SettingsError, match="no condition 'Z'. There are: A, B, group.old, group.young"):
        make_group_document(words, ["x=A - Z"], KNOWN)


def test_expression_over_columns_is_a_contrast():
    node = node_of("two-sample", "group", contrasts=["mean of both=(group.old + group.young) / 2"])
    assert by_name(node)["mean of both"]["Weights"] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("words", "contrasts", "message"),
    [
        (("t-test",), (), "'t-test' is none of one-sample"),
        (("paired", "A"), (), "takes 2 names, not 1"),
        (("covariate-by-group", "age"), (), "needs two-sample or anova"),
        (("two-sample", "group", "covariate", "age", "covariate-by-group", "age"), (), "age is there twice"),
        (("paired", "A", "C"), (), "no contrast 'C'"),
        (("paired", "A", "ses-pre"), (), "two contrasts, or two labels of one entity"),
        (("paired", "ses-pre", "ses-pots"), (), "no estimate is of 'ses-pots'. Did you mean 'ses-post'"),
        (
            ("repeated-measures", "a=ses-pre,ses-post", "b=ses-pre,ses-post"),
            (),
            "two factors have one entity",
        ),
        (("repeated-measures", "time=ses-pre,ses-pots"), (), "no estimate is of 'ses-pots'"),
        (("two-sample", "sex"), (), "no column 'sex'. There are: group, age, site"),
        (("two-sample", "site"), (), "3 values"),
        (("covariate", "group"), (), "not numbers"),
        (("one-sample", "one-sample"), (), "there twice"),
        (("two-sample", "group", "anova", "site"), (), "do not go together"),
        (("repeated-measures", "stimulus"), (), "is not FACTOR=LEVEL,LEVEL"),
        (("repeated-measures", "stimulus=FF,XX", "p=Ini,Imm"), (), "needs one contrast whose name"),
        (("one-sample",), ("x=",), "write NAME=EXPRESSION"),
        (("covariate", "age"), ("x=sex",), "--group-contrast: "),
        (("paired", "A", "B"), ("x=A - C",), "--group-contrast: "),
    ],
)
def test_words_without_sense_are_refused(words, contrasts, message):
    with pytest.raises(SettingsError, match=message):
        make_group_document(words, contrasts, KNOWN)


def test_pooled_contrast_of_the_mean_is_refused():
    words = ("repeated-measures", "stimulus=FF,SF", "presentation=Ini,Imm")
    with pytest.raises(SettingsError, match="must add to 0"):
        make_group_document(words, ["all=FF + SF"], KNOWN, error_term="pooled")


def test_pooled_sessions_are_refused():
    with pytest.raises(SettingsError, match="pooled is for cells that are contrasts"):
        make_group_document(("paired", "ses-pre", "ses-post"), (), KNOWN, error_term="pooled")


def test_words_are_split_at_the_forms():
    assert split_words(["two-sample", "group", "covariate", "age", "iq"]) == {
        "two-sample": ["group"],
        "covariate": ["age", "iq"],
    }


def test_factors_keep_their_order():
    assert read_factors(["b=2,1", "a=x,y"]) == {"b": ["2", "1"], "a": ["x", "y"]}
