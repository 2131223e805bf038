"""The command line: flags to settings, wrong usage to messages and exit codes."""

import importlib
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

from bidsapp import errors
from bidsapp.cli import main as cli
from bidsapp.cli.main import main, make_settings
from bidsapp.cli.parser import make_parser, parse_arguments
from bidsapp.errors import SettingsError
from bidsapp.settings.parts import PARTS, GroupOptions, PermutationOptions, RunOptions, find_unread
from bidsapp.version import __version__

BASE = ["in", "out", "participant"]
ROOT = Path(__file__).parents[2]


def settings(*more, base=BASE):
    return make_settings(parse_arguments([*base, *more]))


def test_every_setting_has_one_flag_and_every_flag_one_setting():
    names = {setting.name for part in PARTS.values() for setting in fields(part)}
    not_settings = {
        "help",
        "version",
        "bids_exec_spec",
        "verbose",
        "quiet",
        "config_file",
        "bids_dir",
        "output_dir",
        "analysis_level",
    }
    assert {action.dest for action in make_parser()._actions} - not_settings == names


def test_defaults_are_those_of_the_settings():
    assert settings().permutation == PARTS["permutation"]()


FLAGS = {flag: action for action in make_parser()._actions for flag in action.option_strings}


def outcome(flag, action):
    """Return what a flag is read as, or the message where "1" is no value of it."""
    value = "" if action.nargs == 0 else "=1"
    try:
        return vars(parse_arguments(["in", "out", "group", flag + value]))
    except SettingsError as error:
        return str(error)


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if "-" in flag[2:] and flag != "--bids-exec-spec"])
def test_every_flag_may_be_written_with_underscores(flag):
    read = outcome(flag, FLAGS[flag])
    assert read == outcome("--" + flag[2:].replace("-", "_"), FLAGS[flag])
    assert "unknown" not in read


@pytest.mark.parametrize("flag", ["--participantlabel", "--participants_label", "--Participant_Label"])
def test_flags_that_differ_a_little_are_told_the_near_one(flag):
    with pytest.raises(SettingsError, match="did you mean '--participant-label'"):
        settings(flag, "01")


def test_a_value_keeps_its_underscores():
    assert settings("--contrast=a_b=c_d").model.contrast == ("a_b=c_d",)


@pytest.mark.parametrize("words", [["sub-01", "02"], ["01,sub-02"], ["SUB-01", "Sub-02"]])
def test_labels_are_read_with_and_without_prefix_and_by_commas(words):
    assert settings("--participant-label", *words).selection.participant_label == ("01", "02")


@pytest.mark.parametrize("flag", ["--task-label", "--task_id", "-t"])
def test_aliases_of_the_task(flag):
    assert settings(flag, "stroop").selection.task_label == ("stroop",)


def test_both_levels_run_in_their_order():
    assert settings(base=["in", "out", "group", "participant"]).levels == ("participant", "group")


def test_a_level_after_a_dry_run_stays_a_level():
    arguments = parse_arguments(["in", "out", "--dry-run", "group"])
    assert make_settings(arguments).control.dry_run == "text"


@pytest.mark.parametrize(
    ("text", "gigabytes"), [("8", 8.0), ("8G", 8.0), ("8000", 8.0), ("512MB", 0.512), ("1 TiB", 1000.0)]
)
def test_memory_is_read_with_units(text, gigabytes):
    assert settings("--mem", text).control.mem_gb == pytest.approx(gigabytes)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["in", "out", "group"], ()),
        (["in", "out", "group", "--across-contrasts"], ("all",)),
        (["--across-contrasts", "in", "out", "group"], ("all",)),
        (["in", "out", "--across_contrasts", "group", "--seed", "1"], ("all",)),
        (["in", "out", "group", "--across-contrasts", "a vs b", "c", "--seed", "1"], ("a vs b", "c")),
        (["in", "out", "group", "--across-contrasts=a vs b"], ("a vs b",)),
    ],
)
def test_a_family_may_be_named_or_not(arguments, names):
    found = make_settings(parse_arguments(arguments))
    assert (found.permutation.across_contrasts, found.levels) == (names, ("group",))


def test_a_configuration_file_may_say_true_for_a_family(tmp_path):
    for text, names in (("true", ("all",)), ("false", ()), ('["a", "b"]', ("a", "b"))):
        (tmp_path / "c.toml").write_text(f"across_contrasts = {text}\n")
        assert settings("--config-file", str(tmp_path / "c.toml")).permutation.across_contrasts == names


def test_a_configuration_file_gives_settings_that_flags_override(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text('n-permutations = 50\nalpha = 0.01\ntask_label = ["a", "b"]\n')
    given = settings("--config-file", str(config), "--alpha", "0.02")
    assert (given.permutation.n_permutations, given.group.alpha, given.selection.task_label) == (
        50,
        0.02,
        ("a", "b"),
    )


def test_an_unknown_setting_of_a_configuration_file_offers_the_near_one(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("n-permutation = 50\n")
    with pytest.raises(SettingsError, match="did you mean 'n_permutations'"):
        settings("--config-file", str(config))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["in", "out", "grup"], errors.EXIT_UNKNOWN_LEVEL, "did you mean 'group'"),
        ([*BASE, "--n-permutation", "5"], errors.EXIT_USAGE, "did you mean '--n-permutations'"),
        ([*BASE, "--alpha", "x"], errors.EXIT_USAGE, "--alpha: cannot read 'x' as a number"),
        ([*BASE, "--alpha", "5"], errors.EXIT_USAGE, "5 is not between 0 and 1. For 5 % write 0.05."),
        ([*BASE, "--alpha", "0"], errors.EXIT_USAGE, "--alpha: 0 is not between 0 and 1."),
        ([*BASE, "--alpha", "1"], errors.EXIT_USAGE, "--alpha: 1 is not between 0 and 1."),
        ([*BASE, "--alpha", "-1"], errors.EXIT_USAGE, "--alpha: -1 is not between 0 and 1."),
        ([*BASE, "--alpha", "nan"], errors.EXIT_USAGE, "--alpha: nan is not between 0 and 1."),
        ([*BASE, "--smoothing-fwhm", "-5"], errors.EXIT_USAGE, "--smoothing-fwhm: -5.0 is less than 0."),
        ([*BASE, "--n-permutations", "-5"], errors.EXIT_USAGE, "--n-permutations: -5 is less than 0."),
        ([*BASE, "--tail", "both"], errors.EXIT_USAGE, "two, positive, negative"),
        (["in"], errors.EXIT_USAGE, "output_dir"),
        (["no-such-folder", "out", "group"], errors.EXIT_NO_INPUT, "no-such-folder does not exist"),
    ],
)
def test_wrong_usage_ends_with_its_exit_code_and_one_message(arguments, code, message, capsys):
    assert main(arguments) == code
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize("words", [["--dry-run", "json"], ["--dry-run=json"], ["--dry_run", "json"]])
def test_the_plan_as_json_may_be_asked_for_with_a_space(words):
    assert settings(*words).control.dry_run == "json"


def test_a_bare_dry_run_leaves_the_level_alone():
    arguments = parse_arguments(["--dry-run", "in", "out", "--list-participants", "group"])
    assert (arguments.dry_run, arguments.list_participants) == ("text", "all")
    assert arguments.analysis_level == ["group"]


@pytest.mark.parametrize("output", [".", "results", "sub-01/stats"])
def test_an_output_folder_inside_the_input_is_refused_with_a_better_one(tmp_path, output, capsys):
    assert main([str(tmp_path), str(tmp_path / output), "participant"]) == errors.EXIT_USAGE
    assert str(Path("derivatives") / "taskglm") in capsys.readouterr().err


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("TaskGLM ")


LISTS = {
    "participant_label": "sub",
    "exclude_participant_label": "sub",
    "session_label": "ses",
    "task_label": "task",
    "run_label": "run",
}


@pytest.mark.parametrize(
    "words", [["07, 08"], ["07,08"], ["07 08"], ["07", "08"], [" 07 ,", "08,"], ["07,07", "08"]]
)
@pytest.mark.parametrize("name", LISTS)
def test_labels_may_be_separated_by_blanks_and_commas(name, words):
    flag = "--" + name.replace("_", "-")
    bare = make_settings(parse_arguments(["data", "out", "group", flag, *words])).selection
    assert getattr(bare, name) == ("07", "08")
    prefixed = [word.replace("0", f"{LISTS[name]}-0") for word in words]
    assert make_settings(parse_arguments(["data", "out", "group", flag, *prefixed])).selection == bare


@pytest.mark.parametrize("empty", ["", ",", " "])
def test_a_list_without_labels_is_refused(empty):
    with pytest.raises(SettingsError, match="--participant-label: no label"):
        make_settings(parse_arguments(["data", "out", "group", "--participant-label", empty]))


def test_a_space_may_have_its_prefix():
    chosen = make_settings(parse_arguments(["data", "out", "group", "--space", " space-MNI "]))
    assert chosen.selection.space == "MNI"


def all_unread(levels):
    names = {setting.name for part in PARTS.values() for setting in fields(part)}
    return {level: set(found) for level, found in find_unread(names, levels).items()}


def test_every_flag_is_read_by_some_level():
    assert all_unread(("participant", "group")) == {}


def test_flags_of_the_other_level_are_known():
    unread = all_unread(("group",))["participant"]
    assert {
        "contrast",
        "confounds",
        "high_pass",
        "hrf_model",
        *(s.name for s in fields(RunOptions)),
    } <= unread
    unread = all_unread(("participant",))["group"]
    assert {s.name for part in (GroupOptions, PermutationOptions) for s in fields(part)} <= unread


@pytest.mark.parametrize(
    ("level", "flags", "warned"),
    [
        (
            "group",
            ["--contrast", "sum=face + house", "--smoothing-fwhm", "8"],
            "--contrast, --smoothing-fwhm",
        ),
        ("participant", ["--alpha", "0.01"], "--alpha"),
        ("group", ["--alpha", "0.01"], None),
    ],
)
def test_flags_that_nobody_reads_are_told(tmp_path, capsys, level, flags, warned):
    main([str(tmp_path), str(tmp_path.parent / "out"), level, *flags])
    said = capsys.readouterr().err
    assert ("nothing here is done with it" in said) == bool(warned)
    assert (warned or "") in said


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (0, 0)])
def test_a_level_that_fails_is_not_hidden_by_one_that_does_not(tmp_path, monkeypatch, codes):
    stages = {
        f"{level}.stage": SimpleNamespace(run_stage=lambda *_, code=code: code)
        for level, code in zip(("participant", "group"), codes, strict=True)
    }
    stages["group.check"] = SimpleNamespace(check_ahead=lambda *_: None)
    monkeypatch.setattr(cli, "_stage", stages.get)
    assert main([str(tmp_path), str(tmp_path.parent / "out"), "participant", "group"]) == max(codes)


@pytest.mark.parametrize("door", [["run.py"], ["-m", "bidsapp"]])
def test_every_door_leads_to_the_same_command_line(door):
    words = [sys.executable, *door, "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    assert __version__ in done.stdout


def test_the_console_script_is_that_command_line():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["taskglm"].partition(":")
    assert getattr(importlib.import_module(module), name) is main
