"""Names of conditions and groups, from the tables to the names of files."""

import json

import pandas as pd
import pytest
from makers.brain import copy_subjects
from outcomes import call_app

from bidsapp.cli import main as cli
from bidsapp.plan import make_group_plan, make_participant_plan


@pytest.fixture
def data(tiny_dataset, tmp_path):
    """Return a copy of two participants, whose events and table are to be changed."""
    return copy_subjects(tiny_dataset, tmp_path / "data", 2)


def rename(data, change, pattern="sub-*"):
    for path in sorted(
        data.glob(f"{pattern}_events.tsv" if "_" in pattern else f"{pattern}/func/*_events.tsv")
    ):
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        table["trial_type"] = [change(value, row, path) for row, value in enumerate(table["trial_type"])]
        table.to_csv(path, sep="\t", index=False)


def settings(data, level, *arguments):
    words = [str(data), str(data.parent / "out"), level, *arguments]
    return cli.make_settings(cli.parse_arguments(words))


def plan(data, *arguments):
    return make_participant_plan(settings(data, "participant", *arguments))


def contrasts_of(made):
    (names,) = {tuple(c.name for c in fit.contrasts) for subject in made.subjects for fit in subject.runs}
    assert not any(fit.skipped for subject in made.subjects for fit in subject.runs)
    return names


def refused(data, capfd, *arguments):
    words = [str(data), str(data.parent / "out"), "participant", "--dry-run", *arguments]
    code = cli.main(words)
    return code, capfd.readouterr().err


CODES = {"face": "1", "house": "2"}


@pytest.mark.parametrize("end", [".0", ".00", "."])
def test_numbers_with_and_without_decimals_are_one_condition(data, end):
    rename(data, lambda value, _, path: CODES[value] + (end if "run-2" in path.name else ""))
    assert contrasts_of(plan(data)) == ("1", "2", "1Minus2", "effectsOfInterest")


def test_numbers_that_are_padded_in_some_files_are_one_condition(data):
    rename(data, lambda value, _, path: ("0" if "run-2" in path.name else "") + CODES[value])
    assert contrasts_of(plan(data)) == ("1", "2", "1Minus2", "effectsOfInterest")


def test_padded_numbers_keep_their_names(data):
    rename(data, lambda value, *_: "0" + CODES[value])
    assert contrasts_of(plan(data)) == ("01", "02", "01Minus02", "effectsOfInterest")


def test_decimals_alone_give_whole_numbers(data):
    rename(data, lambda value, *_: {"face": "1.0", "house": "10"}[value])
    assert contrasts_of(plan(data)) == ("1", "10", "1Minus10", "effectsOfInterest")


@pytest.mark.parametrize("word", ["NA", "na", "NaN", "n/a", ""])
def test_a_word_for_missing_is_no_condition(data, word):
    rename(data, lambda value, row, _: word if row < 3 else value)
    made = plan(data)
    assert contrasts_of(made) == ("face", "house", "faceMinusHouse", "effectsOfInterest")
    notes = {note for subject in made.subjects for note in subject.notes}
    assert any("3 events have the trial_type 'NA'" in note for note in notes) == (word == "NA")


def test_none_is_a_condition(data):
    rename(data, lambda value, *_: {"face": "None"}.get(value, value))
    assert contrasts_of(plan(data))[:2] == ("None", "house")


@pytest.mark.parametrize(
    ("face", "house"),
    [
        ("\u9854", "\u5bb6"),
        ("+", "-"),
        ("1", "-1"),
        ("\u043b\u0438\u0446\u043e", "\u0434\u043e\u043c"),
        ("a", "aMinusB"),
    ],
)
def test_conditions_of_any_alphabet_have_files_of_their_own(data, face, house):
    rename(data, lambda value, *_: {"face": face, "house": house}[value])
    made = plan(data)
    assert {face, house} < set(contrasts_of(made))
    told = any("in names of files" in note and repr(face) in note for note in made.notes)
    assert told == (face not in ("1", "a"))


def test_capitals_of_one_participant_are_told_with_the_files(data, capfd):
    rename(data, lambda value, *_: value.title(), pattern="sub-02")
    code, said = refused(data, capfd)
    assert code == 65
    assert "'Face' (sub-02; 2 files) and 'face' (sub-01; 2 files) differ by capitals only" in said
    assert "Nodes[" not in said


def test_trial_types_with_one_output_name_are_told(data, capfd):
    rename(data, lambda value, row, _: ["go_left", "go-left"][row % 2])
    code, said = refused(data, capfd)
    assert code == 65
    assert "'go-left'" in said
    assert "'go_left'" in said
    assert "have the same output name 'goLeft'" in said


# Groups


@pytest.fixture
def groups(tiny_dataset, tiny_results, tmp_path):
    """Return a function to the plan of two groups with these codes."""

    def make(codes, *more, form="two-sample"):
        data = tmp_path / "data"
        data.mkdir()
        rows = "".join(f"sub-{number:02d}\t{code}\n" for number, code in enumerate(codes, start=1))
        (data / "participants.tsv").write_text(f"participant_id\tgroup\n{rows}")
        words = [str(data), str(tiny_results), "group", "--group-design", form, "group", *more]
        return make_group_plan(cli.make_settings(cli.parse_arguments(words)))

    return make


def names_of(made):
    (fit,) = [fit for fit in made.models[0].fits if fit.contrast == "face"]
    return [contrast.name for contrast in fit.contrasts]


@pytest.mark.parametrize(
    ("codes", "names"),
    [
        (["1", "2", "1", "2"], ["face group.1", "face group.2", "face 1 vs 2"]),
        (["1.0", "2.0", "1.0", "2.0"], ["face group.1", "face group.2", "face 1 vs 2"]),
        (["1", "2", "1.0", "2.0"], ["face group.1", "face group.2", "face 1 vs 2"]),
        (["01", "02", "01", "02"], ["face group.01", "face group.02", "face 01 vs 02"]),
        (["None", "drug", "None", "drug"], ["face group.None", "face group.drug", "face None vs drug"]),
        (["0", "1", "0", "1"], ["face group.0", "face group.1", "face 0 vs 1"]),
    ],
)
def test_groups_keep_the_spelling_of_the_table(groups, codes, names):
    made = groups(codes)
    assert names_of(made) == names
    (fit,) = [fit for fit in made.models[0].fits if fit.contrast == "face"]
    assert [f"face {column}" for column in fit.design.columns] == names[:2]
    assert {column for one in fit.contrasts for column in one.columns} == set(fit.design.columns)


@pytest.mark.parametrize("codes", [["1", "2"] * 2, ["1.0", "2.0"] * 2])
def test_a_contrast_of_coded_groups_is_written_as_the_table_spells_them(groups, codes):
    made = groups(codes, "--group-contrast", "d=group.2 - group.1")
    assert "face d" in names_of(made)


def test_groups_with_one_output_name_are_told(groups, capfd):
    with pytest.raises(Exception, match="--group-design: the contrasts 'group.a b' and 'group.a_b'"):
        groups(["a b", "a_b"] * 2)


def test_several_covariates_may_follow_a_group(tiny_dataset, tiny_results):
    for words in (["covariate", "age", "iq"], ["covariate", "age", "covariate", "iq"]):
        people = pd.read_csv(tiny_dataset / "participants.tsv", sep="\t")
        folder = tiny_results.parent / f"people{len(words)}"
        folder.mkdir(exist_ok=True)
        people.assign(iq=[100, 90, 120, 95]).to_csv(folder / "participants.tsv", sep="\t", index=False)
        words = [str(folder), str(tiny_results), "group", "--group-design", *words]
        made = make_group_plan(cli.make_settings(cli.parse_arguments(words)))
        assert made.models[0].fits[0].design.columns == ("intercept", "age", "iq")


@pytest.mark.parametrize(
    "words",
    [
        ["two-sample", "group", "age"],
        ["two-sample", "group", "anova", "sex"],
        ["anova", "group", "anova", "sex"],
    ],
)
def test_a_design_that_words_do_not_make_says_where_it_can_be_written(
    tiny_dataset, tiny_results, words, capfd
):
    assert (
        cli.main([str(tiny_dataset), str(tiny_results), "group", "--dry-run", "--group-design", *words]) == 64
    )
    assert "docs/models/README.md" in capfd.readouterr().err


def test_sidecars_keep_the_name_of_a_condition(data, tmp_path):
    rename(data, lambda value, *_: {"face": "na\u00efve"}.get(value, value))
    words = [str(data), str(tmp_path / "out"), "participant", "--participant-label", "01", "--quiet"]
    assert call_app([*words, "--n-cpus", "1"]) == 0
    (path,) = (tmp_path / "out").rglob("*node-subjectLevel_contrast-naive_stat-effect_statmap.json")
    assert json.loads(path.read_text())["ContrastName"] == "na\u00efve"
