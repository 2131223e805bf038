"""The commands about models end with a message and an exit code, whatever they are given."""

import json
import re

import pytest
from documents import contrast, make_node
from three_conditions import CONDITIONS, DATASET, RUN, SUBJECT, make_model, make_three_conditions

from bidsapp.errors import EXIT_CANNOT_CREATE, EXIT_DATA, EXIT_NO_INPUT, EXIT_NOT_BIDS, EXIT_USAGE
from bidsapp.model.__main__ import main
from bidsapp.model.read import read_model

COMMANDS = ("check", "graph", "migrate")


def written(*nodes, **changes):
    """Return the text of a model."""
    return json.dumps(make_model(*(nodes or (RUN, SUBJECT, DATASET)), **changes), indent=1)


def edges(*pairs):
    return [{"Source": source, "Destination": target} for source, target in pairs]


PLAIN = written()
TWICE = PLAIN.replace('"Name": "subject"', '"Name": "subject",\n"Name": "other"')
ODD = {
    "empty": ("", "is empty"),
    "blank": (" \n", "is empty"),
    "no JSON": ("hello", "line 1, column 1: not JSON"),
    "a list": ("[1]", "this is a list"),
    "null": ("null", "this is null"),
    "no nodes": ('{"Name": "x"}', "has no Nodes"),
    "nodes of another kind": ('{"Nodes": [null]}', r"Nodes\[0\]: is None, but must be an object"),
    "huge": ('{"Name": "' + "x" * 3_000_000 + '"}', "larger than any model"),
    "deep": ("[" * 100_000, "nested deeper than"),
    "many nodes": ('{"Nodes": [' + "1," * 200_000 + "1]}", "has 200,001 nodes"),
    "UTF-16": (PLAIN.encode("utf-16"), "not UTF-8 text at byte 0"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), "it is UTF-16, or no text"),
    "Latin-1": (PLAIN.replace('"m"', '"m\u00e9"').encode("latin-1"), "not UTF-8 text at byte 13"),
    "zeros": (b"\0" * 100, "bytes of value 0"),
    "a comment": ("// mine\n" + PLAIN, "line 1.*JSON has no comments"),
    "cut off": (PLAIN[:200], "line 18, column 2: not JSON"),
    "two models": (PLAIN + PLAIN, "extra data"),
    "NaN": ('{"Name": "NaN",\n "Nodes": [NaN]}', "line 2: NaN is not a number"),
    "too large a number": ('{"Name": "1e999",\n\n "Nodes": [1e999]}', "line 3: the number 1e999"),
    "a key twice": (TWICE, "line 46: the key 'Name' stands twice"),
    "a path as name": (written(Name="../../x"), "line 2, Name: '../../x' looks like a path"),
    "markup as name": (written(make_node(RUN, Name="<script>")), r"line 12, Nodes\[0\].Name: .* has markup"),
    "controls in a name": (written(Name="a\0b"), "has control characters"),
    "text that is reordered": (written(Name="\u202exyz"), "has control characters"),
    "a circle": (written(Edges=edges(("run", "subject"), ("subject", "run"))), "form a circle"),
    "an edge to itself": (written(Edges=edges(("run", "run"))), "leads from 'run' to itself"),
    "an edge to nowhere": (
        written(Edges=edges(("run", "subjct"))),
        r"line 80, Edges\[0\].Destination: .* Did you mean 'subject'",
    ),
    "an edge from nowhere": (written(Edges=edges(("rn", "subject"))), "Did you mean 'run'"),
    "a node apart": (written(Edges=edges(("run", "subject"))), "'run', 'dataset' have no incoming edge"),
    "edges of another kind": (written(Edges=[1]), r"line 78, Edges\[0\]: is 1, but must be an object"),
    "a level": (written(make_node(RUN, Level="Rnu")), r"line 11, Nodes\[0\].Level: .* Did you mean 'Run'"),
    "a grouping": (written(make_node(RUN, GroupBy=["rn"])), r"GroupBy\[0\]: 'rn': did you mean 'run'"),
    "weights": (
        written(make_node(RUN, Contrasts=[contrast("c", CONDITIONS[:1], ["a"])])),
        r"line 49, Nodes\[0\].Contrasts\[0\].Weights\[0\]: is 'a'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("content", "said"), ODD.values(), ids=ODD)
def test_odd_model_is_refused_by_every_command(tmp_path, capsys, command, content, said):
    path = tmp_path / "odd_smdl.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main([command, str(path)]) == EXIT_DATA
    captured = capsys.readouterr()
    assert captured.err.startswith("error: odd_smdl.json")
    assert re.search(said, captured.err.replace("\n", " "))
    assert not captured.out


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a dataset, datasets that are none, and a model."""
    folder = tmp_path_factory.mktemp("odd")
    make_three_conditions(folder / "dataset", n_subjects=1)
    (folder / "model.json").write_text(PLAIN)
    (folder / "nothing").mkdir()
    for name, events in (("raw", b""), ("binary", b"\xff\xfe\0"), ("hostile", HOSTILE)):
        func = folder / name / "sub-01" / "func"
        func.mkdir(parents=True)
        (folder / name / "dataset_description.json").write_text("no JSON")
        (func / "sub-01_task-t_events.tsv").write_bytes(b"onset\tduration\ttrial_type\n" + events)
    return folder


HOSTILE = b"1\t1\t<script>x</script>\n5\t1\t../../x\n"
WRONG = {
    "check nowhere.json": (EXIT_NO_INPUT, "can not be read: No such file"),
    "check nothing": (EXIT_NO_INPUT, "can not be read: Is a directory"),
    "check model.json --bids-dir nowhere": (EXIT_NO_INPUT, "there is no folder"),
    "check model.json --bids-dir model.json": (EXIT_NO_INPUT, "there is no folder"),
    "check model.json --bids-dir nothing": (EXIT_NOT_BIDS, "is not a BIDS dataset"),
    "check model.json --bids-dir raw": (EXIT_DATA, "dataset_description.json is not valid JSON"),
    "check model.json --bids-dir dataset/sub-01": (EXIT_NOT_BIDS, "is not a BIDS dataset"),
    "check model.json --bids-dir dataset -d nowhere": (EXIT_NO_INPUT, "--derivatives: there is no folder"),
    "graph model.json -o model.json": (EXIT_CANNOT_CREATE, "is there already"),
    "graph model.json -o nothing": (EXIT_CANNOT_CREATE, "is there already"),
    "graph model.json -o nowhere/x.svg": (EXIT_CANNOT_CREATE, "can not be written"),
    "graph model.json --bids-dir nowhere": (EXIT_NO_INPUT, "there is no folder"),
    "migrate model.json -o model.json": (EXIT_CANNOT_CREATE, "is there already"),
    "migrate nothing": (EXIT_NO_INPUT, "can not be read: Is a directory"),
    "new nowhere": (EXIT_NO_INPUT, "There is no folder"),
    "new model.json": (EXIT_NO_INPUT, "There is no folder"),
    "new nothing": (EXIT_NO_INPUT, "has no events files"),
    "new raw": (EXIT_DATA, "has no event"),
    "new binary": (EXIT_DATA, "is not UTF-8 text"),
    "new hostile": (EXIT_DATA, "'trial_type.../../x' looks like a path"),
    "new dataset -t ../x": (EXIT_USAGE, "the dataset has events of t"),
    "new dataset -o nowhere/x.json": (EXIT_CANNOT_CREATE, "can not be written"),
    "new dataset --hrf-model smp": (EXIT_USAGE, "'smp' is not known"),
    "new dataset --high-pass -1": (EXIT_USAGE, "--high-pass: -1.0 is less than 0"),
    "new dataset --high-pass nan": (EXIT_USAGE, "--high-pass: nan is less than 0"),
    "new dataset --confounds motin6": (EXIT_USAGE, "did you mean 'motion6'"),
    "new dataset --contrast x": (EXIT_USAGE, "write NAME=EXPRESSION"),
    "new dataset --contrast x=a-d": (EXIT_USAGE, "no condition 'd'"),
    "new dataset --contrast ../x=a-b": (EXIT_DATA, "'../x' looks like a path"),
    "new dataset --contrast x=a-b --contrast x=a-c": (EXIT_USAGE, "two contrasts have this name"),
}


@pytest.mark.parametrize(("words", "expected"), WRONG.items(), ids=WRONG)
def test_wrong_argument_is_refused_with_the_reason(here, capsys, monkeypatch, words, expected):
    monkeypatch.chdir(here)
    before = sorted(here.rglob("*"))
    code, said = expected
    assert main(words.split()) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("changes", [{}, {"Edges": []}, {"Edges": None}, {"Input": None}])
def test_what_is_empty_is_as_if_absent(tmp_path, mark, changes):
    path = tmp_path / "m_smdl.json"
    path.write_text(mark + written(**changes), encoding="utf-8")
    model = read_model(path)
    assert [(edge.source, edge.destination) for edge in model.edges] == [
        ("run", "subject"),
        ("subject", "dataset"),
    ]
    assert bool(model.notes) == (changes == {"Edges": []})
