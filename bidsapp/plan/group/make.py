"""Plan the group stage: which estimates enter which group model, its design, who is left out and why."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import pandas as pd

from bidsapp.design.group.marginal import Margins, describe_formula
from bidsapp.design.group.matrix import GroupDesign, make_group_design
from bidsapp.design.transformers.variables import aliases, level_name
from bidsapp.errors import (
    EXIT_NO_INPUT,
    Caution,
    InputError,
    ModelError,
    SettingsError,
    in_lines,
    near_or_there,
)
from bidsapp.inputs.dataset.selection import natural_key
from bidsapp.inputs.estimates import estimate_folders, find_estimates
from bidsapp.inputs.tables.participants import match_labels
from bidsapp.names import make_label
from bidsapp.plan.graph import describe_graph
from bidsapp.plan.group.families import add_family
from bidsapp.plan.group.models import find_automatic, find_group_models
from bidsapp.plan.group.options import (
    add_blocks,
    add_notes,
    add_variance_groups,
    check_declared,
    check_grids,
    check_options,
    estimator_of,
    exclude_listed,
    find_factors,
    without_row,
)
from bidsapp.plan.group.people import People, asks_participants, find_orders, find_people, label_of
from bidsapp.plan.group.select import note_twins, select_contrasts, tell_twin, without_twins
from bidsapp.plan.group.within import Cells, E, Row, collapse_flows, entries_of, is_vector
from bidsapp.plan.leftovers import describe_leftovers, find_leftovers
from bidsapp.plan.mixtures import check_mixtures
from bidsapp.plan.nodes import (
    Entry,
    Flow,
    Group,
    check_outputs,
    explain_missing,
    find_levels,
    follow_edges,
    group_flows,
    incoming_contrast,
    leave_out_unplaced,
    make_outputs,
    output_entities,
    passes,
    varying_entities,
)
from bidsapp.records.collect import collect
from bidsapp.records.documents import Document
from bidsapp.records.maps import Contrast, Design, EstimateFile
from bidsapp.records.model import INTERCEPT, SHORT_NAMES, Model, Node, long_names
from bidsapp.records.plan import DatasetFit, DatasetModel, GroupPlan, Margin
from bidsapp.settings.parts import Settings
from bidsapp.stats.linear import find_rank
from bidsapp.vocabulary.estimators import ESTIMATORS

MapOrCells: TypeAlias = Row[EstimateFile]
# A text column with more levels is no factor, whose levels a model could have meant.
MAX_LEVELS = 20
APART = (
    "they are analysed apart; a Subject node over them joins them, --session-label chooses some "
    "(docs/models/README.md)"
)
# How far a fit of a subject's indicator may be from it, from rounding.
OWN_MEAN_TOLERANCE = 1e-6


class RefusedError(Exception):
    """Why a group of a node is not fitted, while its other groups are."""


def make_group_plan(settings: Settings) -> GroupPlan:
    """Return the plan of the group stage.

    Raises
    ------
    InputError, ModelError, SettingsError
        Every fault that the user can fix.
    """
    check_declared(settings.group.main_threshold, settings.permutation)
    bids_dir, output_dir, selection = settings.bids_dir, settings.output_dir, settings.selection
    found, folders = find_estimates(selection, bids_dir, output_dir), estimate_folders(selection)
    kept, excluded = exclude_listed(found, [output_dir, bids_dir, *folders])
    entries = select_contrasts(kept, settings.group.select_contrasts)
    paths = [] if selection.estimates else find_automatic(output_dir, selection.task_label)
    orders = find_orders(bids_dir, folders) if settings.group.formula is not None else {}
    find_models = partial(find_group_models, settings.group, settings.model, paths, entries, orders=orders)
    named = settings.group.variance_groups or settings.permutation.exchangeability_blocks
    people, unread = find_people(bids_dir, folders, lambda: bool(named) or _needs_people(find_models))
    people, unmatched = match_labels(people, map(label_of, entries))
    notes: list[str] = [*unmatched, *unread]
    models, fits = find_models(people), []
    entries, twins = without_twins(entries, settings, models)
    notes += [tell_twin(other, stays) for other, stays in twins.items()]
    missing, estimator = settings.model.missing_condition, settings.group.group_estimator
    for model in models:
        made, more = plan_model(model, entries, people, missing, estimator)
        notes += more
        for fit in made:
            fit.excluded.update(without_row(fit, people) | excluded)
            fit = add_variance_groups(add_notes(fit, people), people, settings.group.variance_groups)
            fit = add_blocks(fit, people, settings.permutation.exchangeability_blocks)
            fit = note_twins(fit, twins)
            fits.append(replace(fit, factors=find_factors(fit, people)))
    if not fits:
        reasons = in_lines(notes) or "no estimate passes to a Dataset node."
        raise InputError(f"No group model can be fitted:\n{reasons}", exit_code=EXIT_NO_INPUT)
    check_outputs(fits)
    check_options(fits, settings.group)
    fits = check_grids(fits, resample=settings.group.resample)
    labels = set(map(label_of, entries))
    leftovers = {} if selection.estimates else find_leftovers(labels, bids_dir, selection, people)
    fits = _noted(fits, leftovers, allowed=settings.group.allow_mixed_settings)
    return GroupPlan(
        documents=tuple(models),
        models=_by_record(add_family(fits, settings.permutation.across_contrasts)),
        links={"raw": bids_dir},
        notes=tuple(dict.fromkeys([*(note for model in models for note in model.notes), *notes])),
    )


def _noted(fits: Sequence[DatasetFit], leftovers: Mapping[str, str], *, allowed: bool) -> list[DatasetFit]:
    """Return the fits with what must be said of where their maps come from."""
    noted = []
    for fit in check_mixtures(fits, allowed=allowed):
        own = {label: why for label, why in leftovers.items() if f"sub-{label}" in fit.subjects}
        noted.append(replace(fit, notes=(*fit.notes, *describe_leftovers(own))))
    return noted


def plan_model(
    model: Model, entries: Sequence[EstimateFile], people: People, missing: str, estimator: str
) -> tuple[list[DatasetFit], list[str]]:
    """Return the fits of a model's Dataset nodes, and notes."""
    names = known_names(model)
    flows = flows_of_input(model, [make_flow(entry, people, names) for entry in entries])
    nodes = [node for node in model.nodes if node.level == "Dataset"]
    if not nodes:
        raise ModelError(
            f"The model {model.name!r} has no Dataset node: there is nothing to do at the group level."
        )
    graph = describe_graph(model, flows)
    fits: list[DatasetFit] = []
    notes: list[str] = []
    for node in nodes:
        made, more = plan_node(model, node, flows, missing, estimator)
        fits += [replace(fit, graph=graph) for fit in made]
        notes += more
    return fits, notes


def _needs_people(find_models: Callable[[], list[Model]]) -> bool:
    """Whether the models name a column of participants."""
    try:
        models = find_models()
    except SettingsError:
        # Words of --group-design that mean nothing without the columns.
        return True
    return any(map(asks_participants, models))


def known_names(model: Model) -> dict[str, str]:
    """Return label -> name of the contrasts that a model speaks of, as files hold only the label."""
    names: list[str] = []
    for node in model.nodes:
        names += [rule.name for rule in node.contrasts]
        names += [*node.x, *(node.dummy.contrasts or () if node.dummy else ())]
    names += [str(value) for value in model.input.get("contrast", ())]
    names += [value for edge in model.edges for value in edge.filter.get("contrast", ())]
    return {make_label(name): name for name in reversed(names)}


def flows_of_input(model: Model, flows: Sequence[Flow[E]]) -> list[Flow[E]]:
    """Return the estimates of what the model's Input names: a folder may hold those of other tasks.

    What earlier nodes averaged over (runs), their estimates no longer have, and it excludes none of them.
    """
    averaged = any(node.level != "Dataset" for node in model.nodes)
    there = {key for flow in flows for key in flow.labels}
    asked = {key: labels for key, labels in model.input.items() if key in there}
    return [
        flow
        for flow in flows
        if passes(flow, {k: v for k, v in asked.items() if flow.labels.get(k) or not averaged})
    ]


def make_flow(entry: E, people: People, names: Mapping[str, str]) -> Flow[E]:
    """Return an estimate as what flows into a Dataset node."""
    row = people.get(label_of(entry), {})
    contrast = names.get(make_label(entry.key.contrast), entry.key.contrast)
    columns = {name: None for person in people.values() for name in person}
    said = {key: value for key, value in entry.metadata.items() if isinstance(value, (str, int, float))}
    return Flow(
        entry, "t", {**said, **columns, **row, **long_names(dict(entry.key.entities)), "contrast": contrast}
    )


def plan_node(
    model: Model, node: Node, flows: Sequence[Flow[EstimateFile]], missing: str, estimator: str
) -> tuple[list[DatasetFit], list[str]]:
    """Return the fits of a Dataset node, and notes on what could not be fitted."""
    if "subject" in node.group_by:
        raise ModelError(f"{node.where}.GroupBy: a Dataset node can not group by subject.")
    entering, notes = entering_flows(model, node, flows)
    if not entering:
        return [], [Caution(nothing_enters(model, node, flows))]
    members, lacking = collapse_flows(node, entering)
    everyone = sorted({_subject(flow) for flow in members}, key=natural_key)
    members, unplaced = leave_out_unplaced(node, members)
    groups, fits, levels = group_flows(node, members), [], find_levels(members, node)
    notes += [f"{node.name}: {name} is left out: {reason}" for name, reason in unplaced.items()]
    for values, group in groups:
        group = sorted(group, key=lambda flow: (natural_key(_subject(flow)), str(flow.labels["contrast"])))
        try:
            fit = _plan_fit(node, (values, group), groups, levels, missing, estimator)
        except RefusedError as why:
            notes.append(Caution(why))
            continue
        there = set(map(_subject, group))
        for name in everyone if not fit.group_by else ():
            if name not in there:
                fit.excluded[name] = _why_absent(name, values, groups)
        fit.excluded.update(lacking.get(fit.contrast or "", {}) | unplaced)
        fits.append(fit)
    whole = {flow.labels["contrast"] for flow in members}
    notes += [
        Caution(f"{node.name}: {name} is not made: {_said(why)}")
        for name, why in lacking.items()
        if name not in whole
    ]
    return fits, notes


def group_in_words(values: Document, groups: Sequence[Group[Entry]]) -> list[str]:
    """Return what tells a group of a node from its others, in words: ``session 1``, ``without session``.

    Parameters
    ----------
    values : dict
        Variable of GroupBy to the value of the group.
    groups : list of tuple
        All groups of the node, as from `group_flows`.
    """
    varying = [key for key in values if key != "contrast" and len({other[key] for other, _ in groups}) > 1]
    return [f"{key} {values[key]}" if values[key] else f"without {key}" for key in varying]


def _why_absent(name: str, values: Document, groups: Sequence[Group[Entry]]) -> str:
    """Return why a subject with estimates has none in a group."""
    others = [
        " ".join(group_in_words(other, groups))
        for other, flows in groups
        if other.get("contrast") == values.get("contrast") and name in map(_subject, flows)
    ]
    if others:
        return f"no estimate {' '.join(group_in_words(values, groups))}, but {', '.join(others)}; {APART}"
    return "no estimate of this contrast; its own record says why"


def nothing_enters(model: Model, node: Node, flows: Sequence[Flow[Entry]]) -> str:
    """Return in words that no estimate passes to a node, and what is there."""
    there = ", ".join(sorted({str(flow.labels["contrast"]) for flow in flows})) or "none"
    rules = [rule for edge in model.edges_into(node.name) for rule in edge.filter.items()]
    said = "; ".join(f"{key}: {', '.join(values)}" for key, values in rules)
    asked = f" (Filter {said})" if rules else ""
    hints = [
        f" {key} {value!r}: {near_or_there(value, sorted({str(flow.labels.get(key)) for flow in flows}))}"
        for key, values in rules
        for value in values
        if key != "contrast" and flows and not any(passes(flow, {key: [value]}) for flow in flows)
    ]
    return f"{node.name}: no estimate passes to it{asked}. The contrasts there are: {there}.{''.join(hints)}"


def entering_flows(model: Model, node: Node, flows: Sequence[Flow[E]]) -> tuple[list[Flow[E]], list[str]]:
    """Return the estimates that the edges lead into a node, and notes."""
    if not model.edges_into(node.name):
        return _of_one_step(flows), []

    def made_by(source: str) -> list[Flow[E]]:
        label = make_label(source)
        return [flow for flow in flows if not flow.item.key.node or make_label(flow.item.key.node) == label]

    return follow_edges(model, node, made_by)


def _of_one_step(flows: Sequence[Flow[E]]) -> list[Flow[E]]:
    """Return the estimates of the last step, where a folder holds those of several."""
    nodes = collect((flow.item.key.node, flow) for flow in flows)
    whole = [group for group in nodes.values() if not any(flow.labels.get("run") for flow in group)]
    if len(whole) == 1 or len(nodes) == 1:
        return next(iter(whole or nodes.values()))
    raise ModelError(
        f"The estimates come from several nodes ({', '.join(str(name) for name in nodes)}), and the "
        "model begins at the Dataset level. Give the model that made them, or other --estimates."
    )


def _plan_fit(
    node: Node,
    chosen: Group[MapOrCells],
    groups: Sequence[Group[MapOrCells]],
    levels: Collection[str],
    missing: str,
    estimator: str,
) -> DatasetFit:
    """Return the fit of one of a node's groups.

    Raises
    ------
    RefusedError
        Too few inputs are left, or no contrast can be made.
    """
    values, group = chosen
    made, contrast = design_of_group(node, group)
    subjects = [_subject(group[row]) for row in made.kept]
    where = ", ".join([node.name, contrast or "all contrasts", *group_in_words(values, groups)])
    rank = find_rank(made.design.matrix) if len(subjects) else 0
    excluded = {_subject(group[row]): reason for row, reason in made.excluded.items()}
    if len(subjects) <= rank or not subjects:
        left = f"{len(subjects)} inputs are left" + (f" (left out: {_said(excluded)})" if excluded else "")
        raise RefusedError(f"{where}: {left}, the design has rank {rank}; more inputs than that are needed.")
    contrasts, own, skipped = make_outputs(node, made, contrast, missing, levels)
    if not contrasts:
        raise RefusedError(f"{where}: no contrast can be made: {_said(skipped) or 'the node has none'}.")
    margins = Margins(made.formula) if made.formula else None
    _check_repeats(node, made.design, subjects, contrasts, estimator)
    design, contrasts = spell_columns(made.design, contrasts, node.x)
    items = [group[row].item for row in made.kept]
    _check_covariance(node, items, estimator)
    entities, group_by = output_entities(node, group, varying_entities(groups)), _own_values(values)
    entities.pop("sub", None)
    return DatasetFit(
        node=" ".join([node.name, *group_by.values()]),
        entities=entities,
        contrast=contrast,
        subjects=tuple(subjects),
        inputs=tuple(entry for item in items for entry in entries_of(item)),
        within=items[0].within if isinstance(items[0], Cells) else None,
        design=design,
        contrasts=contrasts,
        group_contrasts=own,
        excluded=excluded,
        covariates=_covariates(made.design, subjects),
        method=node.type,
        formula=f"effect {_formula(node)}",
        skipped=skipped,
        notes=made.notes,
        descriptive=tuple(name for name, rule in own.items() if rule in node.own.get("Descriptive", ())),
        group_by=group_by,
        coding=describe_formula(margins.design) if margins else "",
        levels=margins.rows_of_levels if margins else {},
        numbers=tuple(c.name for c in margins.design.columns if c.numbers) if margins else (),
        margins=_margins(node, margins, own) if margins else {},
    )


def _margins(node: Node, margins: Margins, own: Mapping[str, str]) -> dict[str, Margin]:
    """Return the contrasts of a formula that are over means of levels or slopes, by the names of outputs."""
    rules = {rule.name: rule for rule in node.contrasts}
    found = {name: margins.describe(rules[said]) for name, said in own.items() if said in rules}
    return {name: margin for name, margin in found.items() if margin}


def spell_columns(
    design: Design, contrasts: tuple[Contrast, ...], words: Sequence[object]
) -> tuple[Design, tuple[Contrast, ...]]:
    """Return a design and its contrasts with columns named as X has them: ``group.01``, not ``group.1``."""
    spelled = {
        other: word
        for word in map(str, words)
        for other in aliases(word)
        if other in design.columns and word not in design.columns
    }
    if not spelled:
        return design, contrasts
    columns = tuple(spelled.get(name, name) for name in design.columns)
    named = [
        replace(one, columns=tuple(spelled.get(name, name) for name in one.columns)) for one in contrasts
    ]
    return replace(design, columns=columns), tuple(named)


def design_of_group(
    node: Node, group: Sequence[Flow[Entry]], elsewhere: Collection[str] = ()
) -> tuple[GroupDesign, str | None]:
    """Return the design of one group of a Dataset node, and the one contrast that comes in, or None.

    Names ``elsewhere`` may be missing.

    Raises
    ------
    ModelError
        Names that no input has, with the near ones; the fields of sidecars are none to choose from.
    """
    contrast = incoming_contrast(node, group)
    table = pd.DataFrame([flow.labels for flow in group]).astype(object)
    made = make_group_design(node, table, [_row_name(flow, group) for flow in group])
    fields = {name for flow in group for name in flow.item.metadata}
    columns = [name for name in table.columns if name not in fields]
    names = [other for name in columns for other in _with_levels(name, table[name])]
    names += [*made.design.columns, *table["contrast"].unique()]
    missing = {name: where for name, where in made.missing.items() if name not in elsewhere}
    unknown = explain_missing(missing, names, table.columns)
    if unknown:
        raise ModelError("\n".join(unknown))
    return made, contrast


def _with_levels(name: str, column: pd.Series) -> list[str]:
    """Return the name of a column of participants, and those of its levels where it is of texts."""
    levels = [value for value in column.dropna().unique() if isinstance(value, str)]
    own = name not in SHORT_NAMES and name != "contrast" and len(levels) <= MAX_LEVELS
    return [name, *(f"{name}.{level}" for level in levels if own)]


def _own_values(values: Document) -> dict[str, str]:
    """Return the values of the participants columns that a node groups by, whole numbers without decimals."""
    return {k: level_name(v) for k, v in values.items() if k not in SHORT_NAMES and k != "contrast"}


def _check_repeats(
    node: Node, design: Design, subjects: Sequence[str], contrasts: Sequence[Contrast], estimator: str
) -> None:
    """Refuse several inputs of one subject that would count as independent subjects.

    They do not where the design has each such subject's own mean, in contrasts between subjects by least
    squares, which have the error of subjects, and by the sandwich.
    """
    repeated = [name for name in dict.fromkeys(subjects) if subjects.count(name) > 1]
    if not repeated or _has_own_means(design, subjects, repeated):
        return
    counts = ESTIMATORS[estimator].needs_subjects  # which inputs are of one subject
    known = counts or (estimator == "ols" and _all_between(design, contrasts, subjects))
    rows = design.matrix[[name == repeated[0] for name in subjects]]
    if not known or np.ptp(rows, axis=0).max(initial=0.0) == 0:
        raise ModelError(
            f"{node.where}: {repeated[0]} enters {len(rows)} times, as if it were {len(rows)} independent "
            "subjects. Make the contrast (or combine runs and sessions) in a Subject node before, group by "
            "what differs, let X hold the subjects (Factor of 'subject'), or, where X tells the rows apart, "
            "use --group-estimator sandwich."
        )


def _check_covariance(node: Node, items: Sequence[MapOrCells], estimator: str) -> None:
    """Refuse to weigh contrasts of the same runs by their variances: no file holds their covariance."""
    # The multivariate test of several rows within subjects uses no variances.
    entries = [entry for item in items if not is_vector(item) for entry in entries_of(item)]
    counts = Counter(entry.key.entities for entry in entries)
    repeated = next((entry for entry in entries if counts[entry.key.entities] > 1), None)
    weighs = ESTIMATORS[estimator_of(node.type, estimator)].needs_variances
    if weighs and repeated is not None:
        raise ModelError(
            f"{node.where}: sub-{repeated.key.entity('sub')} enters with several contrasts of the same runs. "
            "Their estimates depend on each other, no file holds their covariance, and an estimator that "
            "uses variances would take them as independent. Make the contrast in the Run node or a Subject "
            "node before, or use Type glm with --group-estimator ols."
        )


def _has_own_means(design: Design, subjects: Sequence[str], repeated: Sequence[str]) -> bool:
    """Return whether a design has the mean of each subject with several rows."""
    own = np.array([[subject == name for name in repeated] for subject in subjects], float)
    fitted = design.matrix @ np.linalg.lstsq(design.matrix, own, rcond=None)[0]
    return bool(np.abs(own - fitted).max() <= OWN_MEAN_TOLERANCE)


def _all_between(design: Design, contrasts: Sequence[Contrast], subjects: Sequence[str]) -> bool:
    """Return whether all contrasts are over columns that do not vary within subjects."""
    used = np.any([np.any(contrast.weights, axis=0) for contrast in contrasts], axis=0)
    people = np.unique(subjects, return_inverse=True)[1]
    rows = np.column_stack([people, design.matrix[:, used]])
    return len(np.unique(rows, axis=0)) == int(people.max()) + 1


def _covariates(design: Design, subjects: Sequence[str]) -> dict[str, dict[str, float]]:
    names = [name for name in design.columns if name != INTERCEPT]
    values = dict(zip(design.columns, design.matrix.T, strict=True))
    return {
        subject: {name: float(values[name][row]) for name in names} for row, subject in enumerate(subjects)
    }


def _formula(node: Node) -> str:
    if node.formula:
        return node.formula if node.formula.strip().startswith("~") else f"~ {node.formula}"
    words = ["1" if word == INTERCEPT else word for word in node.x]
    return "~ " + " + ".join(words if "1" in words else ["0", *words])


def _by_record(fits: Sequence[DatasetFit]) -> tuple[DatasetModel, ...]:
    """Put together the fits that share a record: node, entities and group."""
    models = collect(((fit.node, tuple(fit.entities.items())), fit) for fit in fits)
    return tuple(
        DatasetModel(node, dict(entities), members[0].group_by, tuple(members))
        for (node, entities), members in models.items()
    )


def _subject(flow: Flow[Entry]) -> str:
    return f"sub-{flow.labels['subject']}"


def _row_name(flow: Flow[Entry], group: Sequence[Flow[Entry]]) -> str:
    name = _subject(flow)
    if sum(_subject(other) == name for other in group) == 1:
        return name
    parts = [f"{key[:3]}-{flow.labels[key]}" for key in ("session", "run") if flow.labels.get(key)]
    return " ".join([name, *parts, str(flow.labels["contrast"])])


def _said(table: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {value}" for key, value in list(table.items())[:8])
