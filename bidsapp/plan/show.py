"""Show a plan before anything is computed, as text or as JSON."""

import json
import sys
from collections.abc import Callable
from typing import TextIO, TypeAlias

import numpy as np

from bidsapp import names
from bidsapp.design.diagnostics import Diagnosis, condition_number, dependent_columns
from bidsapp.errors import EXIT_FAILURE, EXIT_OK, InputError, find_cautions
from bidsapp.inputs.estimates import estimate_folders
from bidsapp.plan.automatic import AUTO
from bidsapp.plan.forecast import forecast_plan
from bidsapp.plan.group.make import make_group_plan
from bidsapp.plan.group.models import has_command
from bidsapp.plan.group.people import find_people
from bidsapp.plan.group.wizard import suggest_designs
from bidsapp.plan.nodes import Fit
from bidsapp.plan.participant.make import make_participant_plan
from bidsapp.plan.text import plan_text
from bidsapp.records.documents import Document
from bidsapp.records.maps import Contrast
from bidsapp.records.model import SHORT_NAMES
from bidsapp.records.plan import GroupPlan, ParticipantPlan, RunFit
from bidsapp.settings.parts import RunOptions, Settings
from bidsapp.stats.linear import find_rank

Foretell: TypeAlias = Callable[[GroupPlan, Settings], Document]
# Why each participant or group model of a plan is to be done; empty where it is finished.
FindWork: TypeAlias = Callable[[ParticipantPlan | GroupPlan, Settings], dict[str, str]]
# So many rows of a group design are shown.
MOST_ROWS = 8


def show_plans(
    settings: Settings,
    find_work: FindWork,
    stream: TextIO | None = None,
    foretell: Foretell = lambda plan, settings: {},
) -> int:
    """Print the plans of the levels asked for and return the exit code; nothing is computed.

    ``find_work`` tells what of a plan is finished, as the stages will find it (``job.finished``), and
    ``foretell`` of a group plan what depends on how it is fitted and shuffled.
    """
    stream = stream or sys.stdout
    code = EXIT_OK
    plans: Document = {}
    for level in settings.levels:
        if level == "participant":
            plan = make_participant_plan(settings)
            plans[level] = describe_participant_plan(plan, settings.run) | {"work": find_work(plan, settings)}
            code = EXIT_FAILURE if any(subject.problems for subject in plan.subjects) else code
        else:
            try:
                plans[level] = _group_document(settings, find_work, foretell)
            except InputError as error:
                if len(settings.levels) == 1:
                    raise
                words = "The group level is planned when the participant level has run"
                plans[level] = {"notes": [f"{words}: {error}"]}
    if settings.control.dry_run == "json":
        json.dump(plans, stream, indent=2, allow_nan=False)
        stream.write("\n")
    else:
        stream.write("\n".join(plan_text(level, described) for level, described in plans.items()))
    return code


def _group_document(settings: Settings, find_work: FindWork, foretell: Foretell) -> Document:
    plan = make_group_plan(settings)
    described = describe_group_plan(plan, foretell(plan, settings)) | {"work": find_work(plan, settings)}
    if has_command(settings.group) or settings.model.model != AUTO:
        return described
    entries = {entry.effect: entry for model in plan.models for fit in model.fits for entry in fit.inputs}
    people, _ = find_people(settings.bids_dir, estimate_folders(settings.selection), lambda: False)
    return described | {"designs": suggest_designs(list(entries.values()), people, settings)}


def describe_participant_plan(plan: ParticipantPlan, options: RunOptions) -> Document:
    """Return a participant plan as plain numbers, texts and lists."""
    return {
        "model": ", ".join(model.name for model in plan.documents),
        "notes": list(plan.notes),
        "warnings": find_cautions([*plan.notes, *(n for subject in plan.subjects for n in subject.notes)]),
        "subjects": [
            {
                "subject": subject.subject,
                "problems": list(subject.problems),
                "notes": list(subject.notes),
                "runs": [describe_run_fit(fit) for fit in subject.runs],
                "combinations": [describe_fit(fit, len(fit.inputs)) for fit in subject.combinations],
            }
            for subject in plan.subjects
        ],
        "missing": missing_table(plan),
        "forecast": forecast_plan(plan.subjects, options),
    }


def missing_table(plan: ParticipantPlan) -> Document:
    """Return which run makes which contrast.

    Returns
    -------
    dict
        ``contrasts``: names; ``rows``: one a run, its label and for every contrast "" where it is made, the
        reason where it is not, and None where the run's model has no such contrast.
    """
    fits = [fit for subject in plan.subjects for fit in subject.runs]
    contrasts = dict.fromkeys(c.name for fit in fits for c in fit.contrasts)
    contrasts |= dict.fromkeys(name for fit in fits for name in fit.skipped)
    return {
        "contrasts": list(contrasts),
        "rows": [{"run": fit.label, "reasons": [_reason(fit, name) for name in contrasts]} for fit in fits],
    }


def _reason(fit: RunFit, name: str) -> str | None:
    if any(contrast.name == name for contrast in fit.contrasts):
        return ""
    return fit.skipped.get(name)


def describe_run_fit(fit: RunFit) -> Document:
    """Return a run fit as plain values."""
    described = describe_fit(fit, len(fit.design.matrix))
    first = fit.runs[0]
    paths = [path for run in fit.runs for path in (run.bold, run.mask, run.events, run.confounds)]
    paths += [file.path for run in fit.runs for file in run.recordings]
    inputs = [str(path) for path in paths if path]
    return described | {
        "run": fit.label,
        "inputs": inputs,
        "n_volumes": len(fit.design.matrix),
        "repetition_time": first.repetition_time,
        "start_time": first.start_time,
        "start_time_source": first.start_time_source,
        "confounds": list(fit.confounds),
        "conditions": list(fit.conditions),
        "censored": int((~fit.keep).sum()),
    }


def describe_fit(fit: Fit, n_rows: int) -> Document:
    """Return the design of a fit and its contrasts as plain values."""
    matrix, columns = fit.design.matrix, fit.design.columns
    rank, diagnosis = find_rank(matrix), Diagnosis(matrix)
    described: Document = {
        "node": fit.node,
        "level": fit.level,
        "entities": fit.entities,
        "columns": list(columns),
        "n_rows": n_rows,
        "rank": rank,
        "condition_number": _finite(condition_number(matrix)),
        "dependent_columns": [list(group) for group in dependent_columns(matrix, columns)],
        "dof": None if getattr(fit, "method", "") == "fixed" else n_rows - rank,
        "contrasts": [_describe_contrast(contrast, fit, diagnosis) for contrast in fit.contrasts],
        "skipped": dict(fit.skipped),
        "notes": list(fit.notes),
    }
    if not isinstance(fit, RunFit):
        described |= {"input_contrast": fit.contrast, "rows": list(fit.design.rows), "method": fit.method}
    return described


def describe_group_plan(plan: GroupPlan, told: Document | None = None) -> Document:
    """Return a group plan, with what is told of it, as plain numbers, texts and lists."""
    fits = [fit for model in plan.models for fit in model.fits]
    of_fits = told["fits"] if told else [{}] * len(fits)
    return {
        "model": ", ".join(model.name for model in plan.documents),
        "notes": list(plan.notes),
        "warnings": find_cautions([*plan.notes, *(note for fit in fits for note in fit.notes)]),
        "fits": [
            _with_told(describe_fit(fit, len(fit.design.matrix)), of_fit)
            | {
                "first_rows": fit.design.matrix[:MOST_ROWS].tolist(),
                "formula": fit.formula,
                # What each row is made of, within its subject; None where it is one estimate.
                "within": fit.within
                and {
                    "cells": list(fit.within.cells),
                    "weights": fit.within.weights.tolist(),
                    "in_words": fit.within.in_words,
                },
                "subjects": list(fit.subjects),
                "excluded": fit.excluded,
                "inputs": [str(entry.effect) for entry in fit.inputs],
            }
            for fit, of_fit in zip(fits, of_fits, strict=True)
        ],
    } | ({"forecast": told["forecast"]} if told else {})


def _with_told(described: Document, told: Document) -> Document:
    """Return a described fit with what is told of it and of its contrasts."""
    of_contrasts = told.get("contrasts", {})
    contrasts = [one | of_contrasts.get(one["name"], {}) for one in described["contrasts"]]
    return described | {"contrasts": contrasts} | ({"cells": told["cells"]} if told else {})


def _describe_contrast(contrast: Contrast, fit: Fit, diagnosis: Diagnosis) -> Document:
    test = "F" if getattr(fit, "n_scores", 1) > 1 else contrast.test
    statistics = ("F", "z", "p") if test == "F" else ("effect", "variance", "t", "z", "p")
    entities = {key: value for key, value in fit.entities.items() if key in SHORT_NAMES.values()}
    weights = [
        {name: float(w) for name, w in zip(contrast.columns, row, strict=True) if w}
        for row in contrast.weights
    ]
    return {
        "name": contrast.name,
        "test": test,
        "weights": weights if contrast.test == "F" else weights[0],
        "variance_inflation": _finite(diagnosis.variance_inflation(contrast.weights)),
        "outputs": [
            names.map_path(entities, node=fit.node, contrast=contrast.name, stat=stat) for stat in statistics
        ],
    }


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
