"""Every setting is read and checked alike, whether a flag, a configuration file or Python gives it."""

import ast
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

import bidsapp
from bidsapp.cli.main import make_settings
from bidsapp.cli.parser import parse_arguments
from bidsapp.errors import SettingsError
from bidsapp.settings.declare import choices_of, flag_of, kind_of
from bidsapp.settings.parts import PARTS, Control, GroupOptions, RunOptions, Selection

SETTINGS = [(name, setting) for name, part in PARTS.items() for setting in fields(part)]
NUMBERS = ("int", "float", "memory")
# Accepted from the command lines of other apps, and nothing is done with them.
IGNORED = {"skip_bids_validation", "notrack"}
PACKAGE = Path(bidsapp.__file__).parent


def wrong_values(setting):
    """Return values that a setting does not have."""
    details = setting.metadata
    if choices_of(setting):
        return ["nothing"]
    if kind_of(setting) not in NUMBERS:
        return {"share": ["0", "many"], "labels": [" , "]}.get(kind_of(setting), [])
    low, high = details["between"] if "between" in details else (details["least"] - 1, details.get("most"))
    return ["x", low, *([high if "between" in details else high + 1, 1000] if high else [float("inf")])]


def right_values(setting):
    """Return values that a setting can have."""
    details, kind = setting.metadata, kind_of(setting)
    if choices_of(setting):
        return list(choices_of(setting))
    if kind in NUMBERS:
        return [sum(details["between"]) / 2] if "between" in details else [details["least"], 7]
    return [True] if kind == "flag" else ["0.5"] if kind == "share" else ["a"]


def by_flag(part, setting, value, _folder):
    flag = flag_of(setting.name)
    return read([flag if value is True else f"{flag}={value}"], part, setting)


def by_file(part, setting, value, folder):
    text = {float("inf"): "inf"}.get(value) or json.dumps(value)
    (folder / "c.toml").write_text(f"{setting.name} = {text}\n")
    return read(["--config-file", str(folder / "c.toml")], part, setting)


def read(words, part, setting):
    made = make_settings(parse_arguments(["in", "out", "group", *words]))
    return getattr(getattr(made, part), setting.name)


def by_python(part, setting, value, _folder):
    return getattr(PARTS[part](**{setting.name: value}), setting.name)


WAYS = [by_flag, by_file, by_python]


@pytest.mark.parametrize(("part", "setting"), SETTINGS, ids=lambda one: getattr(one, "name", one))
def test_values_are_read_and_refused_alike(part, setting, tmp_path):
    for value in right_values(setting):
        read = [way(part, setting, value, tmp_path) for way in WAYS]
        assert read[0] == read[1] == read[2]
        assert len({type(one) for one in read}) == 1
    for value in wrong_values(setting):
        for way in WAYS:
            with pytest.raises(SettingsError) as caught:
                way(part, setting, value, tmp_path)
            assert str(caught.value).startswith(flag_of(setting.name) + ": ")


def test_every_number_has_its_range():
    numbers = [setting for _, setting in SETTINGS if kind_of(setting) in NUMBERS]
    assert len(numbers) > 10
    lacking = [s.name for s in numbers if not choices_of(s) and not {"least", "between"} & set(s.metadata)]
    assert lacking == []


def test_a_setting_holds_what_its_annotation_says():
    made = Selection(participant_label=["sub-01", "02,03"], bids_filter_file="filters.json")
    assert made == Selection(("01", "02", "03"), bids_filter_file=Path("filters.json"))
    assert isinstance(RunOptions(smoothing_fwhm=4).smoothing_fwhm, float)
    assert GroupOptions(min_subjects=5).min_subjects == "5"


def test_a_part_that_is_changed_keeps_the_rest():
    """What was read once is not read otherwise: bare numbers from 512 on are megabytes in words alone."""
    control = Control(mem_gb="768GB")
    assert replace(control, n_cpus=3) == Control(mem_gb=768.0, n_cpus=3)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("permutation", "seed", 2.5),
        ("permutation", "seed", True),
        ("group", "alpha", True),
        ("group", "mask", True),
    ],
)
def test_what_a_configuration_file_can_say_and_no_flag_is_refused(part, name, value, tmp_path):
    setting = next(setting for of, setting in SETTINGS if (of, setting.name) == (part, name))
    for way in (by_file, by_python):
        with pytest.raises(SettingsError, match=f"^{flag_of(name)}: cannot read {value}"):
            way(part, setting, value, tmp_path)


def attributes():
    """Return the attributes that the modules read that know of settings."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "bidsapp.settings" in text and path.parent.name != "settings":
            found |= {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    return found


def test_every_setting_is_read_somewhere():
    assert {setting.name for _, setting in SETTINGS} - attributes() == IGNORED
