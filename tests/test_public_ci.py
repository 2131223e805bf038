"""What .circleci/config.yml calls is there, and what the issue of a release needs is in it."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / ".circleci/config.yml").read_text())
COMMANDS = [
    step["run"] if isinstance(step["run"], str) else step["run"]["command"]
    for job in CONFIG["jobs"].values()
    for step in job["steps"]
    if isinstance(step, dict) and "run" in step
]
ENTRIES = dict(
    next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
    for entry in CONFIG["workflows"]["check"]["jobs"]
)


def test_every_job_is_in_the_workflow_and_the_other_way_round():
    assert set(ENTRIES) == set(CONFIG["jobs"])


def test_the_tests_run_on_every_python_that_is_supported():
    supported = re.search(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())[1]
    versions = ENTRIES["test"]["matrix"]["parameters"]["python"]
    assert versions[0] == f"3.{supported}"
    assert versions == ["3.11", "3.12", "3.13"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\.ci/[a-z_.]+", str(COMMANDS)))))
def test_scripts_that_are_called_exist(name):
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)", str(COMMANDS)))))
def test_targets_that_are_made_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_a_release_waits_for_everything_else():
    tests = [f"test-{version}" for version in ENTRIES["test"]["matrix"]["parameters"]["python"]]
    others = set(ENTRIES) - {"test", "deploy", "build"}  # the image needs the build
    deploy = ENTRIES["deploy"]
    assert set(deploy["requires"]) == {*others, *tests}
    assert deploy["filters"]["branches"] == {"ignore": "/.*/"}


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "deploy"])
def test_every_check_runs_on_tags(name):
    assert ENTRIES[name]["filters"]["tags"] == {"only": "/.*/"}


def test_hooks_before_a_commit_are_make_lint_from_no_other_place():
    found = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in found] == ["local"]
    (hook,) = found[0]["hooks"]
    assert hook["entry"].replace(" --no-print-directory", "") == "make lint"
    # On everything, whatever the commit touches.
    assert (hook["language"], hook["pass_filenames"], set(hook) & {"files", "exclude", "types"}) == (
        "system",
        False,
        set(),
    )
    assert "make lint" in COMMANDS
