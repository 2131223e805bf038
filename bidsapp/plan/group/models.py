"""Which model the group stage follows."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bidsapp.design.group.commands import Known, make_group_document
from bidsapp.design.group.formulas import make_formula_document
from bidsapp.errors import ModelError, SettingsError
from bidsapp.inputs.dataset.selection import natural_key
from bidsapp.model.read import parse_model, read_model
from bidsapp.names import check_labels
from bidsapp.plan.automatic import AUTO, mean_node
from bidsapp.plan.group.people import Orders, People, label_of
from bidsapp.plan.nodes import Entry
from bidsapp.records.collect import collect
from bidsapp.records.model import LONG_NAMES, Model
from bidsapp.settings.parts import GroupOptions, ModelOptions


def find_group_models(
    options: GroupOptions,
    chosen: ModelOptions,
    automatic: Sequence[Path],
    entries: Sequence[Entry] = (),
    people: People | None = None,
    orders: Orders | None = None,
) -> list[Model]:
    """Return the models of the group stage, one unless the participant stage made one for each task.

    With ``--group-design`` or ``--formula`` it is made from these words, the estimates' contrasts and the
    participants.

    With ``--model auto`` they are the ``automatic`` ones that the participant stage wrote into ``code/``, or,
    where there are none (estimates of another program), a one-sample model of every contrast.
    """
    if options.formula is not None and options.group_design:
        raise SettingsError("--formula and --group-design both say what the group model is. Leave one out.")
    if has_command(options):
        model = command_model(options, entries, people or {}, orders or {})
        if options.formula is None or chosen.model == AUTO:
            return [model]
        # A call of both levels needs the model file for its runs.
        note = "--formula is the group model: Dataset nodes of the model file are not followed"
        return [replace(model, notes=(*model.notes, note))]
    if options.group_contrast:
        raise SettingsError(
            "--group-contrast needs --formula or --group-design; a model file names its own contrasts."
        )
    if options.weights != "equal":
        raise SettingsError("--weights needs --group-design; a model file weighs its own contrasts.")
    if chosen.model != AUTO:
        return [read_model(chosen.model, invalid_contrasts=chosen.invalid_contrasts)]
    return [read_model(path, markup_is_text=True) for path in automatic] or [one_sample_model()]


def has_command(options: GroupOptions) -> bool:
    """Whether the group model is given on the command line."""
    return bool(options.group_design) or options.formula is not None


def command_model(options: GroupOptions, entries: Sequence[Entry], people: People, orders: Orders) -> Model:
    """Return the model of a design given on the command line."""
    subjects = list(dict.fromkeys(map(label_of, entries)))
    names = dict.fromkeys(name for row in people.values() for name in row)
    columns = {name: [people.get(one, {}).get(name) for one in subjects] for name in names}
    known = Known(
        tuple(dict.fromkeys(entry.key.contrast for entry in entries)),
        columns,
        tuple(f"sub-{subject}" for subject in subjects),
        _why_no_columns(people, subjects),
        {name: sorted(labels, key=natural_key) for name, labels in _find_labels(entries).items()},
    )
    flag = "--group-design" if options.formula is None else "--formula"
    notes: list[str] = []
    if options.formula is None:
        document = make_group_document(
            options.group_design,
            options.group_contrast,
            known,
            error_term=options.error_term,
            weights=options.weights,
        )
    elif options.weights != "equal":
        raise SettingsError(f"--weights {options.weights}: means over a formula weigh all cells alike.")
    else:
        document, notes = make_formula_document(options.formula, options.group_contrast, known, orders)
    (node,) = document["Nodes"]
    try:
        check_labels([rule["Name"] for rule in node.get("Contrasts", ())], "the contrasts")
    except ModelError as error:
        raise SettingsError(f"{flag}: {error} They are made of columns and levels.") from error
    model = parse_model(json.dumps(document), flag, markup_is_text=True)
    return replace(model, notes=(*model.notes, *notes))


def _find_labels(entries: Sequence[Entry]) -> dict[str, set[str]]:
    """Return the labels of each entity that may tell maps of a subject apart."""
    pairs = dict.fromkeys(pair for entry in entries for pair in entry.key.entities if pair[0] != "sub")
    return {name: set(labels) for name, labels in collect(pairs).items() if name in LONG_NAMES}


def _why_no_columns(people: People, subjects: Sequence[str]) -> str:
    """Return why the participants table says nothing of these subjects; empty where it says something."""
    if not people:
        return "there is no participants.tsv in BIDS_DIR"
    if not subjects or any(subject in people for subject in subjects):
        return ""
    return (
        "no row of participants.tsv is of a participant with estimates: it has "
        f"sub-{next(iter(people))}, the estimates are of sub-{subjects[0]}"
    )


def one_sample_model() -> Model:
    """Return the model that tests the mean of every contrast."""
    document = {
        "Name": "one sample",
        "BIDSModelVersion": "1.0.0",
        "Description": "Made by TaskGLM: the mean of every contrast over subjects.",
        "Nodes": [mean_node("Dataset", ["contrast", "session", "task"])],
    }
    return parse_model(json.dumps(document), "the one-sample model")


def find_automatic(output_dir: Path, tasks: Sequence[str]) -> list[Path]:
    """Return the models that the participant stage made, of some tasks or of all."""
    paths = sorted((output_dir / "code").glob("model-*Auto_smdl.json"))
    return [
        path
        for path in paths
        if not tasks or any(path.name.startswith(f"model-{task}Auto") for task in tasks)
    ]
