"""Plan the nodes between runs and the group: how the estimates of one subject are combined."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pandas as pd

from bidsapp.design.contrasts import near_match
from bidsapp.design.group.matrix import make_group_design
from bidsapp.errors import Caution, InputError, ModelError
from bidsapp.inputs.dataset.runs import check_same_grid
from bidsapp.plan.nodes import (
    AnyFlow,
    Flow,
    explain_missing,
    find_levels,
    group_flows,
    incoming,
    incoming_contrast,
    make_outputs,
    output_entities,
    passes,
    varying_entities,
)
from bidsapp.plan.participant.tables import Tables
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.maps import Contrast, Design, EstimateKey
from bidsapp.records.model import INTERCEPT, SHORT_NAMES, Model, Node, long_names
from bidsapp.records.plan import CombineFit, RunFit, SubjectPlan

KeyFlow: TypeAlias = Flow[EstimateKey]
MIDDLE = ("Session", "Subject")


def flows_of(*fits: RunFit | CombineFit) -> list[KeyFlow]:
    """Return the estimates of fits as flows."""
    return [
        Flow(
            EstimateKey(fit.node, fit.level, contrast.name, tuple(fit.entities.items())),
            contrast.test,
            labels_of(fit.entities, contrast.name),
        )
        for fit in fits
        for contrast in fit.contrasts
    ]


def labels_of(entities: Mapping[str, str], contrast: str) -> Document:
    """Return what a flow of these entities can be asked for."""
    return long_names(entities) | {"contrast": contrast}


def plan_combinations(
    model: Model,
    run_fits: Sequence[RunFit],
    missing_condition: str,
    tables: Tables | None = None,
    elsewhere: Collection[str] = frozenset(),
) -> tuple[list[CombineFit], list[str], list[str]]:
    """Return the combinations of one subject in the order of the model, and what can not be combined.

    Parameters
    ----------
    model : Model
    run_fits : sequence of RunFit
        Those of the subject.
    tables : callable, optional
        Gives the columns that the table of a node's level (scans, sessions) has for a flow.
    elsewhere : collection of str
        The contrasts and levels that any subject has, as from `find_names`; those that this one lacks are no
        fault of the model.

    Returns
    -------
    fits : list of CombineFit
    problems : list of str
    notes : list of str

    Raises
    ------
    ModelError
    """
    made = collect((flow.item.node, flow) for flow in flows_of(*run_fits))
    fits: list[CombineFit] = []
    problems: list[str] = []
    notes: list[str] = []
    for node in model.nodes:
        if node.level not in MIDDLE:
            continue
        flows, more = incoming(model, node, made)
        notes += more
        groups = group_flows(node, flows, always=("subject",))
        varying = varying_entities(groups)
        for _, members in groups:
            fit = _plan_group(node, members, varying, missing_condition, tables, elsewhere)
            if not len(fit.design.matrix):
                problems.append(f"{node.name}: no input is left: {'; '.join(fit.skipped.values())}")
                continue
            fits.append(fit)
            made.setdefault(node.name, []).extend(flows_of(fit))
    return _with_origins(fits, run_fits, model), problems, notes


def _with_origins(fits: Sequence[CombineFit], run_fits: Sequence[RunFit], model: Model) -> list[CombineFit]:
    """Return combinations that know whether their inputs share runs, and whether others take their results.

    Raises
    ------
    ModelError
        Inputs that share a run at a node that knows nothing of their covariance.
    """
    origins = {flow.item: {run_fit.label} for run_fit in run_fits for flow in flows_of(run_fit)}
    for fit in fits:
        runs = set[str]().union(*(origins[key] for key in fit.inputs))
        origins.update((flow.item, runs) for flow in flows_of(fit))
    taken = {key for fit in fits for key in fit.inputs}
    known = []
    for fit in fits:
        sources = [origins[key] for key in fit.inputs]
        shares = sum(map(len, sources)) > len(set[str]().union(*sources))
        if shares and fit.method == "ols":
            raise ModelError(_why_not_independent(fit, model))
        goes_on = any(flow.item in taken for flow in flows_of(fit))
        known.append(replace(fit, shares_runs=shares, goes_on=goes_on))
    return known


def _why_not_independent(fit: CombineFit, model: Model) -> str:
    run_node = next(node.name for node in model.nodes if node.level == "Run")
    return (
        f"{model.node(fit.node).where}: SubjectLevel 'ols' takes inputs as independent, but several of "
        f"them are contrasts of one run. Write the contrast into the Run node {run_node!r}, or leave "
        "SubjectLevel out."
    )


def of_one_grid(
    run_fits: Sequence[RunFit], combinations: Iterable[CombineFit]
) -> tuple[list[CombineFit], list[str]]:
    """Return the combinations of which all inputs are on one grid, and why the others can not be made."""
    runs = {(fit.node, tuple(fit.entities.items())): fit.runs for fit in run_fits}
    kept, problems = [], []
    for fit in combinations:
        sources = [runs.get((key.node, key.entities), ()) for key in fit.inputs]
        try:
            check_same_grid([run for source in sources for run in source if run.grid])
        except InputError as error:
            problems.append(f"{fit.node}: {error}")
            continue
        if all(sources):
            runs[fit.node, tuple(fit.entities.items())] = sources[0]
            kept.append(fit)
    return kept, list(dict.fromkeys(problems))


def find_idle_filters(model: Model, subjects: Iterable[SubjectPlan]) -> list[Caution]:
    """Return cautions on the values of Filters that no planned estimate has.

    Participants are not all planned at once, and their table is looked at by the group level.
    """
    made: dict[str, list[AnyFlow]] = {}
    for fit in [fit for subject in subjects for fit in subject.fits]:
        lost = [Flow(None, "t", labels_of(fit.entities, name)) for name in fit.skipped]
        made.setdefault(fit.node, []).extend([*flows_of(fit), *lost])
    cautions = []
    for edge in model.edges:
        planned = made.get(edge.source, [])
        keys = [key for key in edge.filter if key == "contrast" or key in SHORT_NAMES and key != "subject"]
        for key in keys if planned else ():
            there = sorted({str(flow.labels[key]) for flow in planned if flow.labels.get(key)})
            for value in edge.filter[key]:
                if not any(passes(flow, {key: (value,)}) for flow in planned):
                    which = f"Filter of the edge from {edge.source!r} to {edge.destination!r}"
                    cautions.append(
                        Caution(f"{which}: no estimate has the {key} {value!r}. {near_match(value, there)}")
                    )
    return cautions


def repeats_at_group(model: Model, fits: Iterable[RunFit | CombineFit]) -> list[str]:
    """Return a warning where a participant's estimates would enter a mean of the group more than once.

    Parameters
    ----------
    fits : sequence of RunFit and CombineFit
        Those of one subject.
    """
    made = collect((flow.item.node, flow) for flow in flows_of(*fits))
    warnings = []
    for node in model.nodes:
        if node.level != "Dataset" or node.x != (INTERCEPT,) or node.formula:
            continue
        known = [name for name in node.group_by if name in SHORT_NAMES or name == "contrast"]
        alike = Counter(
            tuple(flow.labels.get(name) for name in known) for flow in incoming(model, node, made)[0]
        )
        if alike and max(alike.values()) > 1:
            warnings.append(
                f"the group level will refuse {node.name!r}: a participant enters it {max(alike.values())} "
                "times. Combine runs or sessions in a Subject node before it, or group by what differs"
            )
    return warnings


def find_names(run_fits: Sequence[RunFit], tables: Tables) -> set[str]:
    """Return the names of the contrasts and levels that runs have, which nodes above may name as columns."""
    names = {name for fit in run_fits for name in (*(c.name for c in fit.contrasts), *fit.skipped)}
    return names | name_levels([fit.entities for fit in run_fits], tables)


def name_levels(entities: Iterable[Mapping[str, str]], tables: Tables) -> frozenset[str]:
    """Return the names of the levels of runs with these entities, and of their rows in tables."""
    flows = [Flow(None, "", labels_of(one, "")) for one in entities]
    more = [Flow(None, "", tables(level, flow.labels)) for flow in flows for level in MIDDLE]
    return find_levels([*flows, *more])


def _plan_group(
    node: Node,
    members: Sequence[KeyFlow],
    varying: Collection[str],
    missing_condition: str,
    tables: Tables | None,
    elsewhere: Collection[str],
) -> CombineFit:
    contrast = incoming_contrast(node, members)
    entities = output_entities(node, members, varying)
    common: Document = {
        "node": node.name,
        "level": node.level.lower(),
        "entities": entities,
        "contrast": contrast,
        # Both types of a node mean fixed effects unless it says "ols".
        "method": node.own.get("SubjectLevel", "fixed"),
    }
    if members[0].test == "F":
        return _joint_fit(node, members, contrast, common)
    rows = [dict(flow.labels) | (tables(node.level, flow.labels) if tables else {}) for flow in members]
    names = [_row_name(flow) for flow in members]
    made = make_group_design(node, pd.DataFrame(rows), names)
    missing = {name: where for name, where in made.missing.items() if name not in elsewhere}
    unknown = explain_missing(missing, [*made.design.columns, *rows[0]], rows[0])
    if unknown:
        raise ModelError(" ".join(unknown))
    if made.missing:
        # Several contrasts come in elsewhere, where outputs are not named after one.
        contrast = common["contrast"] = None
    contrasts, own, skipped = make_outputs(node, made, contrast, missing_condition, elsewhere)
    skipped |= {names[row]: reason for row, reason in made.excluded.items()}
    return CombineFit(
        **common,
        inputs=tuple(members[row].item for row in made.kept),
        design=made.design,
        contrasts=contrasts,
        group_contrasts=own,
        skipped=skipped,
        notes=made.notes,
    )


def _joint_fit(node: Node, members: Sequence[KeyFlow], contrast: str | None, common: Document) -> CombineFit:
    """Return the fit that joins an F contrast of the inputs."""
    if node.x != (INTERCEPT,) or contrast is None:
        raise ModelError(f"{node.where}: JointF needs X [1], and 'contrast' in GroupBy.")
    matrix = np.ones((len(members), 1))
    design = Design(matrix, (INTERCEPT,), tuple(_row_name(flow) for flow in members))
    joined = Contrast(contrast, "F", (INTERCEPT,), matrix[:1])
    return CombineFit(
        **common,
        inputs=tuple(flow.item for flow in members),
        design=design,
        contrasts=(joined,),
        group_contrasts={contrast: "1"},
    )


def _row_name(flow: KeyFlow) -> str:
    shown = [key for key in ("session", "task", "run") if flow.labels.get(key)]
    return " ".join([*(f"{key}-{flow.labels[key]}" for key in shown), flow.labels["contrast"]])
