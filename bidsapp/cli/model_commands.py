"""The commands about model files."""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from bidsapp.errors import (
    EXIT_CANNOT_CREATE,
    EXIT_NO_INPUT,
    EXIT_OK,
    AppError,
    InputError,
    SettingsError,
    in_lines,
)
from bidsapp.inputs.dataset.occurrences import find_levels, find_sessions, find_tasks
from bidsapp.inputs.dataset.roots import roots_at_hand
from bidsapp.model.json_schema import SCHEMA_FILE, json_schema_text
from bidsapp.model.json_text import format_json
from bidsapp.model.read import read_model
from bidsapp.plan.automatic import make_automatic_model
from bidsapp.plan.graph import describe_graph, planned_flows
from bidsapp.plan.group.people import asks_participants, find_people
from bidsapp.plan.group.within import subject_contrasts
from bidsapp.plan.participant.make import make_participant_plan
from bidsapp.plan.show import describe_participant_plan
from bidsapp.plan.text import plan_text
from bidsapp.records.model import Node
from bidsapp.records.plan import ParticipantPlan
from bidsapp.report.drawing.model_graph import draw_model_graph
from bidsapp.settings.parts import ModelOptions, RunOptions, Selection, Settings


def check(arguments: Namespace) -> int:
    """Read a model, and plan it on a dataset where one is given; print what it is."""
    model = read_model(arguments.file)
    print(f"{arguments.file}: {model.name!r} is a model that can be read.")
    for note in model.notes:
        print(f"  note: {note}")
    for node in model.nodes:
        print(f"  {node.level} {node.name!r}: X {', '.join(node.x)}; {describe_contrasts(node)}")
    if arguments.bids_dir:
        _check_on_dataset(arguments)
    return EXIT_OK


def describe_contrasts(node: Node) -> str:
    """Return the contrasts of a node in words."""
    names = [f"{rule.test} {rule.name}" for rule in node.contrasts]
    names += [
        f"{within.test} {name} within subjects ({within.in_words})"
        for name, within in subject_contrasts(node).items()
    ]
    if node.dummy:
        wanted = "every column" if node.dummy.contrasts is None else ", ".join(node.dummy.contrasts)
        names.append(f"{node.dummy.test} of {wanted}")
    return "; ".join(names) if names else "no contrasts"


def graph(arguments: Namespace) -> int:
    """Draw a model, with the numbers of estimates where a dataset is given."""
    model = read_model(arguments.file)
    flows = None
    if arguments.bids_dir:
        plan = _plan_on_dataset(arguments)
        people, _ = find_people(Path(arguments.bids_dir), (), lambda: asks_participants(model))
        flows = planned_flows(plan, people)
    _write(draw_model_graph(describe_graph(model, flows)).file(), arguments.output)
    return EXIT_OK


def migrate(arguments: Namespace) -> int:
    """Write a model in today's form, and say what it was read as."""
    model = read_model(arguments.file)
    _write(model.text, arguments.output)
    for note in model.notes:
        print(f"note: {note}", file=sys.stderr)
    return EXIT_OK


def _check_on_dataset(arguments: Namespace) -> None:
    plan = describe_participant_plan(_plan_on_dataset(arguments), RunOptions())
    print(plan_text("participant", plan))


def _plan_on_dataset(arguments: Namespace) -> ParticipantPlan:
    """Return the plan of a model file on a dataset."""
    settings = Settings(
        Path(arguments.bids_dir),
        Path(arguments.bids_dir),
        ("participant",),
        selection=Selection(derivatives=tuple(arguments.derivatives)),
        model=ModelOptions(model=arguments.file),
    )
    return make_participant_plan(settings)


def new(arguments: Namespace) -> int:
    """Write the automatic model of a task, for the user to change."""
    bids_dir = Path(arguments.bids_dir)
    if not bids_dir.is_dir():
        raise InputError(f"There is no folder {bids_dir}.", exit_code=EXIT_NO_INPUT)
    raw, derivatives = roots_at_hand(bids_dir)
    roots = (raw, *derivatives)
    task = _choose_task(roots, arguments.task)
    asked = {name: getattr(arguments, name) for name in ("contrast", "confounds", "hrf_model", "high_pass")}
    options = ModelOptions(**{name: value for name, value in asked.items() if value is not None})
    sessions = len(find_sessions(roots, task)) > 1
    levels, faults = find_levels(roots, [task])
    if faults and not levels:
        raise InputError(in_lines(faults))
    model = make_automatic_model(levels, task, options, sessions=sessions)
    _write(format_json({"$schema": SCHEMA_FILE, **json.loads(model.text)}) + "\n", arguments.output)
    if arguments.output:
        path = arguments.output
        _write_schema(Path(path).with_name(SCHEMA_FILE))
        print(
            f"{path}: change it, check it with `python -m bidsapp.model check {path}`, "
            "and give it with --model."
        )
    return EXIT_OK


def _choose_task(roots: Sequence[Path], task: str | None) -> str:
    tasks = find_tasks(roots)
    wanted = (task or "").removeprefix("task-")
    if not tasks:
        raise InputError(f"{roots[0]} has no events files.", exit_code=EXIT_NO_INPUT)
    if not wanted and len(tasks) == 1:
        return tasks[0]
    if wanted not in tasks:
        raise SettingsError(f"--task {wanted or '...'}: the dataset has events of {', '.join(tasks)}.")
    return wanted


def _write_schema(path: Path) -> None:
    """Write the schema that a model names beside it, for editors, unless it is there."""
    if not path.exists():
        _write(json_schema_text(), path)


def _write(text: str, path: Path | str | None) -> None:
    if path is None:
        # What becomes a file is UTF-8, whatever the terminal is.
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8")
        sys.stdout.write(text)
        return
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise AppError(
            f"{path} is there already. Choose another name.", exit_code=EXIT_CANNOT_CREATE
        ) from error
    except OSError as error:
        raise AppError(
            f"{path} can not be written: {error.strerror}.", exit_code=EXIT_CANNOT_CREATE
        ) from error
