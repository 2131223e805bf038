"""What participants.tsv says of participants with estimates: matched, or told in words."""

import pandas as pd
import pytest
from documents import higher_node, make_document, write_model

from bidsapp.cli.main import main

AGE = ("--group-design", "covariate", "age")


@pytest.fixture
def plan(tiny_dataset, tiny_results, tmp_path, capsys):
    """Return a function that plans the group with a changed table: exit code and what was said."""
    folder = tmp_path / "bids"
    folder.mkdir()
    for path in tiny_dataset.iterdir():
        (folder / path.name).symlink_to(path)
    table = folder / "participants.tsv"
    before = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)

    def run(change, *arguments):
        table.unlink()
        changed = change(before)
        if changed is not None:
            changed.to_csv(table, sep="\t", index=False)
        capsys.readouterr()
        code = main([str(folder), str(tiny_results), "group", "--dry-run", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def relabel(table):
    return table.assign(participant_id=table.participant_id.str.replace("sub-0", "sub-"))


def ages(*values):
    return lambda table: table.assign(age=list(values))


def test_columns_are_those_of_the_table_whoever_is_in_it(plan):
    code, said = plan(lambda table: table.iloc[1:].assign(age=["20", "31", "44"]), *AGE)
    assert code == 0
    assert "left out: sub-01: no row in participants.tsv" in said
    assert "3 subjects" in said


@pytest.mark.parametrize("design", [AGE, ("--group-design", "two-sample", "group")])
def test_labels_that_differ_by_zeros_are_matched_with_a_warning(plan, design):
    code, said = plan(relabel, *design)
    assert code == 0
    assert "WARNING: participants.tsv writes 4 labels with other zeros: sub-1 is taken for sub-01" in said
    assert "4 subjects" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda table: table.assign(participant_id=[f"sub-P{n}" for n in range(4)]),
            "no row of participants.tsv is of a participant with estimates: it has sub-P0, the estimates are "
            "of sub-01",
        ),
        (lambda _: None, "there is no participants.tsv in BIDS_DIR"),
        (lambda table: table.drop(columns="age"), "no column 'age'"),
        (lambda table: table[["participant_id"]], "participants.tsv has no column 'age'. There are none."),
        (lambda table: table.rename(columns={"age": "Age"}), "no column 'age'. Did you mean 'Age'?"),
        (
            lambda table: table.rename(columns={"participant_id": "Participant_ID"}),
            "has no column 'participant_id'; did you mean 'Participant_ID'?",
        ),
        (ages("89+", "30", "40", "50"), "no number for sub-01: '89+'"),
        (ages("30", ">89", "40", "old"), "no number for sub-02: '>89', sub-04: 'old'"),
        (ages("a", "b", "c", "50"), "its values are not numbers. Use two-sample or anova"),
        (ages("30", "inf", "40", "50"), "no number for sub-02: 'inf'"),
        (ages("30", "40", "-1e999", "50"), "no number for sub-03: '-1e999'"),
        (lambda table: table.iloc[:0], "participants.tsv has no row of a participant"),
    ],
)
def test_a_table_that_does_not_do_is_told_in_its_own_words(plan, change, said):
    code, told = plan(change, *AGE)
    assert code in (64, 65)
    assert said in told


def test_a_table_that_was_not_fetched_is_called_so(tiny_results, tmp_path, capsys):
    table = tmp_path / "participants.tsv"
    table.symlink_to(".git/annex/objects/aa/bb/MD5E-s1")
    assert main([str(tmp_path), str(tiny_results), "group", "--dry-run", *AGE]) == 66
    assert f"{table} is a link to content that is not here. Fetch it: datalad" in capsys.readouterr().err


GROUPED = {"GroupBy": ["contrast", "group"], "X": [1]}
IN_X = {"GroupBy": ["contrast"], "X": [1, "age"]}
ONE_MEAN = {"GroupBy": ["contrast"], "X": [1]}
UNREADABLE = {
    "is a link to content that is not here": lambda table: table.symlink_to(
        ".git/annex/objects/aa/bb/MD5E-s1"
    ),
    "is a pointer to content that is not here": lambda table: table.write_text(
        "/annex/objects/MD5E-s1.tsv\n"
    ),
    "is not UTF-8 text": lambda table: table.write_text("participant_id\nsub-01\n", "utf-16"),
    "has several rows of sub-01": lambda table: table.write_text("participant_id\nsub-01\nsub-01\n"),
    "has no column 'participant_id'": lambda table: table.write_text(""),
}


@pytest.fixture(params=UNREADABLE)
def unreadable(request, tiny_results, tmp_path, capsys):
    """Return a function that plans the group beside a table that cannot be read, and what is said of it."""
    folder = tmp_path / "bids"
    folder.mkdir()
    UNREADABLE[request.param](folder / "participants.tsv")

    def run(*arguments, node=None):
        if node:
            content = higher_node("Dataset", node["X"], Name="all", GroupBy=node["GroupBy"])
            path = write_model(make_document(content), tmp_path)
            arguments = (*arguments, "--model", str(path))
        code = main([str(folder), str(tiny_results), "group", "--dry-run", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    run.reason = request.param
    return run


@pytest.mark.parametrize(
    ("words", "node"),
    [
        ((), None),
        (("--group-design", "one-sample"), None),
        (("--group-design", "paired", "face", "house"), None),
        ((), ONE_MEAN),
        (("--exclude-participant-label", "04"), None),
    ],
)
def test_a_table_that_cannot_be_read_and_is_not_needed_is_a_warning(unreadable, words, node):
    code, said = unreadable(*words, node=node)
    assert code == 0
    (line,) = [line for line in said.splitlines() if "WARNING" in line]
    assert unreadable.reason in line
    assert line.endswith("The model names no column of participants: it goes on without them")


@pytest.mark.parametrize(
    ("words", "node"),
    [
        (AGE, None),
        (("--group-design", "paired", "face", "house", "two-sample", "group"), None),
        (("--variance-groups", "group"), None),
        (("--exchangeability-blocks", "group"), None),
        ((), IN_X),
        ((), GROUPED),
        (("--exclude-participant-label", "99"), None),
    ],
)
def test_a_table_that_cannot_be_read_and_is_needed_ends_the_group(unreadable, words, node):
    code, said = unreadable(*words, node=node)
    assert code in (65, 66)
    assert unreadable.reason in said
    assert "goes on without" not in said


def test_numbers_that_two_rows_share_are_not_matched(plan):
    def change(table):
        twice = table.iloc[[0, 0]].assign(participant_id=["sub-1", "sub-001"])
        return pd.concat([twice, table.iloc[1:].assign(age=["20", "31", "44"])])

    _, said = plan(change, *AGE)
    assert "is taken for" not in said
    assert (
        "WARNING: participants.tsv has rows of sub-1 and sub-001, the data are of sub-01 alone: none" in said
    )
    assert "left out: sub-01: no row in participants.tsv" in said


def test_a_participant_in_two_spellings_is_a_warning(plan):
    def change(table):
        return pd.concat([table, table.iloc[[0]].assign(participant_id="sub-1", age="99")])

    code, said = plan(change, *AGE)
    assert code == 0
    assert "WARNING: participants.tsv has rows of sub-01 and sub-1, the data are of sub-01 alone: its" in said
    assert "is far from" not in said


def test_a_missing_value_leaves_its_participant_out(plan):
    code, said = plan(ages("n/a", "30", "40", "55"), *AGE)
    assert code == 0
    assert "left out: sub-01: no value for age" in said


@pytest.mark.parametrize("code", ["999", "-1", "-999"])
@pytest.mark.parametrize("others", [("31", "30", "35"), ("31", "31", "31"), ("31", "31", "32")])
def test_a_code_among_ages_is_a_warning(plan, code, others):
    _, said = plan(ages(*others[:2], code, others[2]), *AGE)
    assert said.count(f"WARNING: sub-03: the age of {code} is far from that of all others") == 1
    assert said.count("is far from") == 1


def test_ages_as_they_are_and_centred_measures_are_no_warning(plan):
    assert "is far from" not in plan(ages("20", "31", "45", "67"), *AGE)[1]
    assert "is far from" not in plan(ages("-2", "-1", "1", "2"), *AGE)[1]


@pytest.mark.parametrize("values", [("0", "0", "1", "0"), ("1", "1", "2", "1"), ("31", "31", "33", "31")])
def test_codes_of_groups_and_equal_ages_are_no_warning(plan, values):
    assert "is far from" not in plan(ages(*values), *AGE)[1]


@pytest.mark.parametrize("name", ["0", "1", "intercept"])
def test_a_column_that_is_named_as_a_mean_is_refused(plan, name):
    words = ("--group-design", "covariate", name)
    code, said = plan(lambda table: table.rename(columns={"age": name}), *words)
    assert code == 64
    assert f"'{name}' is the name of a mean in models. Rename the column." in said


def test_a_column_of_another_number_is_a_covariate(plan):
    code, said = plan(lambda table: table.rename(columns={"age": "2"}), "--group-design", "covariate", "2")
    assert code == 0
    assert "columns: intercept, 2" in said


@pytest.fixture
def model(tmp_path):
    """Return a model with the age in X, whatever its values are."""
    return write_model(make_document(higher_node("Dataset", [1, "age"], Name="datasetLevel")), tmp_path)


def test_a_model_makes_no_factor_of_numbers_with_a_text_among_them(plan, model):
    code, said = plan(ages("30", "89+", "40", "50"), "--model", str(model))
    assert code == 65
    assert "'age' is a number, but not for sub-02: '89+'" in said
    code, said = plan(ages("30", "inf", "40", "50"), "--model", str(model))
    assert code == 65
    assert "'age' is a number, but not for sub-02: 'inf'" in said
