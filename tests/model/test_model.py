import copy
import json

import pytest
from documents import contrast, factor_and_convolve, higher_node, make_document, run_node

from bidsapp.errors import AppError, InputError, ModelError
from bidsapp.model.read import parse_model, read_model
from bidsapp.records.model import INTERCEPT


def document(**changes):
    conflict = contrast("conflict", ["trial_type.incongruent", "trial_type.congruent"], [1, "-1"])
    run = run_node(
        ["trial_type.*", "trans_?", 1], Transformations=factor_and_convolve(), Contrasts=[conflict]
    )
    subject = higher_node("Subject", Model={"Type": "meta"})
    return make_document(run, subject, **({"Name": "stroop", "Input": {"task": ["stroop"]}} | changes))


def parse(model):
    return parse_model(json.dumps(model, indent=1), "m.json")


def test_model_is_read_into_records():
    model = parse(document())
    run, subject = model.nodes
    assert run.x == ("trial_type.*", "trans_?", INTERCEPT)
    assert run.contrasts[0].weights == ((1.0, -1.0),)
    assert (subject.type, subject.dummy.test) == ("meta", "t")
    assert [(edge.source, edge.destination) for edge in model.edges] == [("run", "subject")]


def test_weights_may_be_fractions():
    model = document()
    model["Nodes"][0]["Contrasts"][0]["Weights"] = ["1/3", "-2/3"]
    assert parse(model).nodes[0].contrasts[0].weights == ((1 / 3, -2 / 3),)


def change(path, value):
    model = document()
    holder = model
    for part in path[:-1]:
        holder = holder[part]
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return model


FAULTS = [
    (["Nodez"], 1, r"Nodez: unknown key; did you mean 'Nodes'"),
    (["Nodes", 0, "Model", "Xx"], 1, r"Model\.Xx: unknown key"),
    (["Nodes", 0, "Model", "Type"], "mixed", r"Type: is 'mixed', but must be 'glm' or 'meta'"),
    (["Nodes", 0, "Model", "Type"], "ffx", r"'glm' or 'meta'\. Did you mean 'meta'"),
    (["Nodes", 0, "Model", "Type"], "mlm", "Random effects of a model are not computed"),
    (["Nodes", 0, "Contrasts", 0, "Test"], "ffx", r"Test: is 'ffx', but must be (?!.*meta)"),
    (["Nodes", 0, "GroupBy"], ["subjec"], r"GroupBy\[0\]: 'subjec': did you mean 'subject'"),
    (["Nodes", 0, "Model", "X", 0], 2, r"X\[0\]: is 2"),
    (["Nodes", 0, "Contrasts", 0, "Weights"], [1, 2, 3], r"3 weights for 2 conditions"),
    (["Nodes", 0, "Contrasts", 0, "Weights"], [1, ""], r"Weights\[1\]: is '', a weight|Weights\[1\]: is ''"),
    (["Nodes", 0, "Contrasts", 0, "Weights"], [[1, -1], [1, 1]], r"a t test has one"),
    (["Nodes", 0, "Contrasts", 0, "Weights"], [0, 0], r"only zeros"),
    (
        ["Nodes", 0, "Contrasts", 0, "ConditionList", 0],
        "tral_type.incongruent",
        r"is not in X\. Did you mean",
    ),
    (["Nodes", 0, "Transformations", "Transformer"], "fsl", r"'fsl' is no known set"),
    (["Nodes", 0, "Transformations", "Instructions", 0, "Name"], "Facter", r"Did you mean 'Factor'"),
    (["Nodes", 0, "Transformations", "Instructions", 1, "Modle"], "spm", r"Did you mean 'Model'"),
    (["Nodes", 0, "Transformations", "Instructions", 1, "Model"], "gamma", r"must be one of spm"),
    (["Nodes", 1, "Name"], "run", r"'run' is the name of an earlier node"),
    (["Nodes", 1, "Model", "Formula"], "age", r"neither 0 nor 1"),
    (
        ["Nodes", 0, "Model", "Options"],
        {"HighPassFilterCutoffHz": 128},
        r"Is it a period\? Then write 0\.0078",
    ),
    (
        ["Nodes", 0, "Model", "Options"],
        {"ReplaceVariables": {"a": "x"}},
        r"ReplaceVariables: is not supported",
    ),
    (["Nodes", 0, "Model", "HRF"], {"Variables": ["a"], "Model": "gloverr"}, r"Did you mean 'glover'"),
    (["Nodes", 0, "Model", "HRF"], {"Variables": ["a"], "Model": "fir"}, r"needs fir_delays"),
    (["Edges"], [{"Source": "run", "Destination": "subjct"}], r"Did you mean 'subject'"),
    (["BIDSModelVersion"], "latest", r"is not a version"),
    (["Nodes"], [], r"is empty"),
    (["Nodes"], None, r"has no Nodes"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS)
def test_fault_is_named_with_its_path(path, value, message):
    with pytest.raises(ModelError, match=message):
        parse(change(path, value))


def test_fault_is_named_with_its_line():
    text = json.dumps(document(), indent=1).replace('"Type": "glm"', '"Tipe": "glm"')
    line = text[: text.index("Tipe")].count("\n") + 1
    with pytest.raises(ModelError, match=rf"m\.json, line {line}, Nodes\[0\]\.Model\.Tipe: unknown key"):
        parse_model(text, "m.json")


def test_all_faults_are_listed_together():
    model = document(BIDSModelVersion="latest")
    model["Nodes"][0]["Contrasts"][0]["Weights"] = [1]
    with pytest.raises(ModelError, match=r"not a version(.|\n)*1 weights for 2"):
        parse(model)


def test_contrast_names_with_one_label_are_refused():
    model = document()
    first = model["Nodes"][0]["Contrasts"][0]
    model["Nodes"][0]["Contrasts"] = [first | {"Name": "A-B"}, first | {"Name": "A > B"}]
    with pytest.raises(ModelError, match="same file name label 'AB'"):
        parse(model)


def test_text_booleans_are_booleans():
    model = document()
    model["Nodes"][0]["Transformations"]["Instructions"][1]["Derivative"] = "True"
    assert parse(model).nodes[0].transformations[1].arguments["Derivative"] is True


def test_circle_of_edges_is_refused():
    edges = [
        {"Source": "subject", "Destination": "group"},
        {"Source": "group", "Destination": "subject"},
        {"Source": "run", "Destination": "subject"},
    ]
    nodes = document()["Nodes"]
    nodes.append({**nodes[1], "Name": "group", "Level": "Subject"})
    with pytest.raises(ModelError, match="form a circle"):
        parse(document(Nodes=nodes, Edges=edges))


def test_two_roots_are_refused():
    nodes = document()["Nodes"]
    other = {**nodes[1], "Name": "other"}
    with pytest.raises(ModelError, match="have no incoming edge"):
        parse(document(Edges=[{"Source": "subject", "Destination": "other"}], Nodes=[*nodes, other]))


def test_edge_down_to_a_lower_level_is_refused():
    nodes = document()["Nodes"]
    nodes.append({**nodes[1], "Name": "group", "Level": "Dataset", "GroupBy": ["contrast"]})
    edges = [{"Source": "run", "Destination": "group"}, {"Source": "group", "Destination": "subject"}]
    with pytest.raises(ModelError, match="leads down from Dataset"):
        parse(document(Nodes=nodes, Edges=edges))


def test_several_dataset_nodes_and_filters_are_kept():
    nodes = document()["Nodes"]
    nodes += [{**nodes[1], "Name": name, "Level": "Dataset", "GroupBy": ["contrast"]} for name in "ab"]
    edges = [
        {"Source": "run", "Destination": "subject"},
        {"Source": "subject", "Destination": "a", "Filter": {"contrast": ["conflict"]}},
        {"Source": "subject", "Destination": "b", "Filter": {"group": ["patient"]}},
    ]
    model = parse(document(Nodes=nodes, Edges=edges))
    assert [edge.filter for edge in model.edges_into("b")] == [{"group": ("patient",)}]


LEGACY = {
    "Name": "old",
    "Input": {"task": "bart"},
    "Steps": [
        {
            "Level": "run",
            "Transformations": [{"name": "factor", "input": ["trial_type"]}],
            "Model": {"X": ["trial_type.a", "trial_type.b"]},
            "Contrasts": [
                {
                    "Name": "a_b",
                    "ConditionList": ["trial_type.a", "trial_type.b"],
                    "weights": [1, -1],
                    "type": "T",
                }
            ],
        },
        {"Level": "subject", "DummyContrasts": {"Conditions": ["a_b"], "Type": "FEMA"}},
        {"Level": "dataset", "DummyContrasts": {"Conditions": ["a_b"], "Type": "t"}},
    ],
}


def test_legacy_steps_become_a_chain_of_nodes():
    model = parse({**LEGACY, "Steps": [{**step} for step in LEGACY["Steps"]]})
    assert [(node.level, node.type, node.x) for node in model.nodes[1:]] == [
        ("Subject", "meta", (INTERCEPT,)),
        ("Dataset", "glm", (INTERCEPT,)),
    ]
    assert model.nodes[0].contrasts[0].test == "t"
    assert model.edges[1].filter == {"contrast": ("a_b",)}
    assert any("Steps" in note for note in model.notes)


def split_by_session(**changes):
    """Return the legacy model with a step that splits its contrast and does nothing else."""
    split = {"name": "split", "input": ["a_b"], "by": ["session"]} | changes
    model, rule = copy.deepcopy(LEGACY), {"Name": "later", "Weights": [-1, 1], "Test": "t"}
    columns = ["a_b.1", "a_b.2", "a_b", "other.1"]
    model["Steps"][1] = {"Level": "subject", "Model": {"X": columns}}
    model["Steps"][1]["Contrasts"] = [rule | {"ConditionList": columns[:2]}]
    model["Steps"].insert(1, {"Level": "session", "Transformations": [split]})
    return model


@pytest.mark.parametrize("changes", [{}, {"input": "a_b", "by": "session"}])
def test_a_legacy_step_that_splits_a_contrast_is_a_factor_of_the_next(changes):
    model = parse(split_by_session(**changes))
    assert [node.name for node in model.nodes] == ["run", "subject", "dataset"]
    subject = model.nodes[1]
    (factor,) = subject.transformations
    assert (factor.name, factor.arguments) == ("Factor", {"Input": ("session",)})
    assert subject.x == ("session.1", "session.2", "a_b", "other.1")
    assert subject.contrasts[0].conditions == ("session.1", "session.2")
    assert any("splits 'a_b' by 'session' is read as a Factor" in note for note in model.notes)


@pytest.mark.parametrize("changes", [{"by": ["session", "run"]}, {"input": ["a_b", "b"]}])
def test_a_legacy_step_that_splits_more_than_one_contrast_by_one_column_stays_a_node(changes):
    model = parse(split_by_session(**changes))
    assert [node.level for node in model.nodes] == ["Run", "Session", "Subject", "Dataset"]


def test_what_is_no_split_is_not_read_as_one():
    with pytest.raises(ModelError, match="Scale has no such argument"):
        parse(split_by_session(name="scale", By="session"))


def test_skip_is_read_as_pass_with_a_note():
    model = document()
    model["Nodes"][0]["Contrasts"][0]["Test"] = "skip"
    read = parse(model)
    assert read.nodes[0].contrasts[0].test == "pass"
    assert any("'skip' is read as 'pass'" in note for note in read.notes)


def test_empty_contrast_is_left_out_with_a_note():
    model = document()
    model["Nodes"][0]["Contrasts"].append({})
    read = parse(model)
    assert len(read.nodes[0].contrasts) == 1
    assert any("empty contrast" in note for note in read.notes)


def test_text_of_a_model_gives_the_same_model():
    model = parse(document())
    assert parse_model(model.text).nodes == model.nodes


HOSTILE = {
    "many nodes": json.dumps(
        document(Nodes=[document()["Nodes"][1] | {"Name": str(i)} for i in range(10_000)])
    ),
    "deep": "[" * 100_000,
    "deep objects": '{"a":' * 50_000,
    "open string": '"' + '\\"' * 200_000,
    "lone backslash": '{"a": "' + '\\"' * 200_000 + "\\",
    "huge number": '{"Nodes": ' + "9" * 6000 + "}",
    "huge exponent": '{"Nodes": 1e99999}',
    "not a number": '{"Nodes": NaN}',
    "twice": '{"Name": "a", "Name": "b", "Nodes": []}',
    "too long": '{"Name": "' + "a" * 2_000_000 + '"}',
    "path": json.dumps(document(Name="../../etc/passwd")),
    "markup": json.dumps(document(Name="<script>alert(1)</script>")),
    "control": json.dumps(document(Name="a\x1b[31mb\x00")),
    "override": json.dumps(document(Name="a\u202eb")),
    "surrogate": json.dumps(document(Name="a\ud800b")),
    "list": "[1, 2]",
    "text": '"model"',
    "nothing": "",
    "null": "null",
    "many small nodes": json.dumps({"Name": "a", "Nodes": [{"Name": str(i)} for i in range(10_000)]}),
    "many edges": json.dumps(document(Edges=[{"Source": "run", "Destination": "subject"}] * 8_000)),
    "many weights": json.dumps(change(["Nodes", 0, "Contrasts", 0, "Weights"], [[1, 2]] * 50_000)),
    "patterns that search for ever": json.dumps(change(["Nodes", 0, "Model", "X"], ["*a" * 90 + "c"] * 1900)),
    "one such pattern": json.dumps(change(["Nodes", 0, "Model", "X"], ["*a" * 90 + "c"])),
    "conditions in thousands": json.dumps(
        change(["Nodes", 0, "Contrasts", 0, "ConditionList"], ["a" * 190 + str(i) for i in range(1990)])
    ),
    "circle of 99": json.dumps(
        document(
            Nodes=[document()["Nodes"][1] | {"Name": f"n{i}"} for i in range(99)],
            Edges=[{"Source": f"n{i}", "Destination": f"n{(i + 1) % 99}"} for i in range(99)],
        )
    ),
    "huge weight": json.dumps(change(["Nodes", 0, "Contrasts", 0, "Weights"], ["9/0", "1e400"])),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_model_is_refused(kind):
    with pytest.raises(ModelError):
        parse_model(HOSTILE[kind], "m.json")


def test_file_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="can not be read"):
        read_model(tmp_path / "absent.json")


def test_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "m.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AppError, match="not UTF-8"):
        read_model(path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.json", "", "m.json is empty"),
        ("m.json", "\ufeff \n", "m.json is empty"),
        ("m.yaml", "Name: m\nNodes:\n", "line 1, column 1: not JSON: .* A model is a JSON file"),
        ("m.json", '{\n "Name": "m", // why\n', "line 2, column 15: .* JSON has no comments"),
        ("m.json", '\ufeff{\n "Name": "m", /* why */\n', "line 2, column 15: .* JSON has no comments"),
        ("m.json", '{\n "Name": "m",\n # why\n', "line 3, column 2: .* JSON has no comments"),
        ("m.json", "{'Name': 'm'}", "column 2: .* double quotes"),
        ("m.json", '{"Name": "m",, "Nodes": []}', "column 14: .* a comma too many"),
        ("m.json", '{"Name": "m', "unterminated string starting at.$"),
        ("m.json", "[1]", "this is a list"),
        ("m.json", '"m"', "this is a text"),
        ("m.json", "null", "this is null"),
        ("m.json", "1.5", "this is a number"),
    ],
)
def test_file_that_is_no_model_is_refused_in_one_line(name, text, words):
    with pytest.raises(ModelError, match=words) as error:
        parse_model(text, name)
    assert "\n" not in str(error.value)
