"""The Boutiques descriptor and the command line say the same."""

import json
from pathlib import Path

import pytest

from bidsapp.cli.descriptor import make_descriptor
from bidsapp.cli.main import main, make_settings
from bidsapp.cli.parser import make_parser, parse_arguments
from bidsapp.settings.parts import Settings

ROOT = Path(__file__).parents[2]
DESCRIPTOR = make_descriptor(make_parser())
INPUTS = {entry["id"]: entry for entry in DESCRIPTOR["inputs"]}
EXAMPLES = {"Flag": [], "File": ["x"], "String": ["8"], "Number": ["1"]}


def test_the_stored_descriptor_is_that_of_the_parser():
    stored = json.loads((ROOT / "descriptor.json").read_text())

    assert stored == DESCRIPTOR, "run: PYTHONPATH=. python docs/write_usage.py"


def test_the_descriptor_is_printed_on_request(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--bids-exec-spec"])

    assert json.loads(capsys.readouterr().out) == DESCRIPTOR
    assert not stop.value.code


@pytest.mark.parametrize("action", make_parser()._actions, ids=lambda action: action.dest)
def test_every_argument_is_described(action):
    if action.dest not in ("help", "version", "bids_exec_spec"):
        assert INPUTS[action.dest].get("command-line-flag") in (action.option_strings or [None])[:1]


@pytest.mark.parametrize("entry", DESCRIPTOR["inputs"], ids=lambda entry: entry["id"])
def test_every_flag_is_read_as_described(entry):
    values = entry.get("value-choices", EXAMPLES[entry["type"]])[:1]
    if "maximum" in entry:
        values = [str((entry["minimum"] + entry["maximum"]) / 2)]
    flag = entry.get("command-line-flag")
    if flag is None:
        return
    words = " ".join([flag, *values]).split(" ")

    arguments = parse_arguments(["in", "out", "group", *words])

    assert getattr(arguments, entry["id"]) not in (None, False, ())
    if entry["id"] != "config_file":
        assert isinstance(make_settings(arguments), Settings)


def test_every_value_key_is_in_the_command_line_once():
    for entry in DESCRIPTOR["inputs"]:
        assert DESCRIPTOR["command-line"].split().count(entry["value-key"]) == 1
