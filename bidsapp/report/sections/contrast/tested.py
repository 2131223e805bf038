"""What was tested: the question, the model, what its threshold controls, and why it may be shuffled so.

A reader should be able to object after reading only this.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from bidsapp.names import sidecar_path
from bidsapp.outputs.describe import express
from bidsapp.outputs.files import read_json
from bidsapp.outputs.saved.common import rows_of
from bidsapp.outputs.saved.group import PermutationRecord, ThresholdRecord
from bidsapp.records.maps import OTHER_STATISTICS
from bidsapp.report.drawing.matrices import draw_contrasts, draw_weights
from bidsapp.report.drawing.scale import short
from bidsapp.report.methods import MODES, SCHEMES, describe_means
from bidsapp.report.numbers import count, real_minus
from bidsapp.report.render import FigureBook, Section, render, show_p
from bidsapp.report.sections.contrast.hypothesis import ZERO, Direction, Hypothesis, list_names, plain
from bidsapp.report.sections.contrast.shown import Shown
from bidsapp.vocabulary.statistics import STATISTICS
from bidsapp.vocabulary.thresholds import THRESHOLDS

# Beyond it, weights are a table of colours.
MOST_ROWS = 6
ON_EFFECTS = ", on the subjects' effects"
CONTROLS = {
    "FWE": "the chance that any voxel {lacking} survives is at most {alpha}",
    "maps": "the chance that any voxel survives whose TFCE draws on no effect is at most {alpha}; it draws "
    "on neighbours, so that a voxel without an effect may survive beside others with one",
    "clusters": "the chance that any cluster without an active voxel survives is at most {alpha}; which of "
    "its voxels are active it does not say",
    "FDR": "of the voxels that survive, a share of at most {alpha} on average is {lacking}",
    "TDP": "the shares of active voxels hold for all clusters together with a confidence of {sure}",
    "none": "nothing: without any effect about {chance} voxels would survive",
}
LACKING = {"z": "without one or more of the effects"}
# Why shuffles keep what the null hypothesis leaves as it is.
ALLOWED = {
    "sign-flip": "the signs of residuals of the model without the effect are flipped (Freedman-Lane), which "
    "supposes errors that are symmetric about zero and independent between {units}",
    "permutation": "residuals of the model without the effect change places (Freedman-Lane), which supposes "
    "that {units} are independent and, without the effect, alike, their variance too",
    "both": "residuals of the model without the effect change places and signs (Freedman-Lane), which "
    "supposes that {units} are independent and alike, with errors symmetric about zero",
}
PARAMETRIC = {
    "z": "none: p of the minimum of the z-values",
    "t": "none: p is that of t, which supposes normal errors",
    "F": "none: p is that of F, which supposes normal errors",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the box: ``Model``, ``effect ~ 1``, what else must be said."""

    name: str
    words: str
    code: str = ""


def make_section(shown: Shown, book: FigureBook) -> Section:
    """Return the box."""
    hypothesis = shown.hypothesis
    content = render(
        "contrast_tested.html",
        question=ask(shown),
        above=_side(hypothesis.above),
        below=_below(hypothesis, _tail(shown)),
        tail=_tail(shown),
        has_direction=hypothesis.has_direction,
        facts=list_facts(shown),
        conditions=_draw_conditions(shown, book),
        design=_draw_design(shown, book),
        joint=len(hypothesis.conditions) > 1,
    )
    return Section("What was tested", "tested", content)


def ask(shown: Shown) -> str:
    """Return the question with its direction."""
    hypothesis, tail = shown.hypothesis, _tail(shown)
    subject = hypothesis.subject[0].lower() + hypothesis.subject[1:]
    side = hypothesis.below if tail == "negative" else hypothesis.above
    if not hypothesis.has_direction:
        verb = "Is" if side.verb else "Do"
        listed = _list_rows(shown) if side.verb else ""
        return " ".join(filter(None, [verb, subject, side.word, side.rest])) + f"{listed}?"
    if hypothesis.kind == "conjunction" and tail == "two":
        return f"Are {subject} {side.word.split()[0]} different from zero in the same direction?"
    if hypothesis.kind == "conjunction":
        return f"Are {subject} {side.phrase}?"
    if not side.verb:
        verb = "change" if tail == "two" else side.word.removesuffix("s")
        return f"Does {subject} {verb} {side.rest}?"
    if tail == "two" and side in ZERO:
        return f"Is {subject} different from zero?"
    return f"Is {subject} {side.phrase}" + (f", or {hypothesis.below.word}?" if tail == "two" else "?")


def _list_rows(shown: Shown) -> str:
    """Return the rows of a test, which its name need not say; empty of one, of many and of groups."""
    estimand, rows = shown.contrast.estimand, shown.hypothesis.conditions
    if estimand is None or any(len(row) > 1 for row in estimand.weights):
        return ""
    listed = all(rows) and 1 < len(rows) <= MOST_ROWS
    return real_minus(": " + "; ".join(map(express, rows))) if listed else ""


def list_facts(shown: Shown) -> list[Fact]:
    """Return what a reader has to know before the results."""
    contrast, record = shown.contrast, shown.results.record
    main, permutation = contrast.main, contrast.permutation
    facts = [Fact("Inputs", _inputs(shown))]
    if contrast.excluded:
        facts.append(Fact("Left out", _left_out(shown)))
    estimate, estimand = "", contrast.estimand
    if estimand:
        # Of several rows the text is what is tested against.
        says = "null hypothesis" if len(estimand.weights) > 1 else "estimates"
        estimate = f"{says}: {real_minus(estimand.text)}"
    facts.append(Fact("Model", estimate, record.formula or record.node))
    facts.append(Fact("Estimated by", _estimator(shown)))
    if main is not None:
        facts.append(Fact("Main threshold", _main(shown, main)))
        facts += [Fact("It controls", words) for words in [_controls(shown, main)] if words]
    facts.append(
        Fact("Shuffling", _shuffling(shown, permutation) if permutation else PARAMETRIC[contrast.test])
    )
    if permutation and permutation.smallest_p is not None:
        facts.append(Fact("Smallest possible p", show_p(permutation.smallest_p)))
    facts += [Fact(name, words) for name, words in [_family(shown)] if words]
    return facts


def _tail(shown: Shown) -> str:
    """Return the tail that is tested; upwards where the statistic has no direction."""
    main = shown.contrast.main
    return main.tail if main and shown.hypothesis.has_direction else "positive"


def _side(direction: Direction) -> str:
    pronoun = "they" if direction.verb == "are" else "it"
    return " ".join(filter(None, [pronoun, direction.verb, direction.phrase]))


def _below(hypothesis: Hypothesis, tail: str) -> str:
    """Return the side below zero; beside the other one only what is not said there."""
    above, below = hypothesis.above, hypothesis.below
    return _side(replace(below, rest="") if tail == "two" and below.rest == above.rest else below)


def _inputs(shown: Shown) -> str:
    contrast = shown.contrast
    if contrast.test == "z":
        return f"the z maps of {contrast.group_contrast}, of {count(contrast.n_subjects, 'subject')}"
    n_maps, subjects = len(contrast.inputs), count(contrast.n_subjects, "subject")
    maps = (
        f"{count(n_maps, 'effect map')} of {subjects}"
        if n_maps > contrast.n_subjects
        else f"effects of {subjects}"
    )
    groups = contrast.estimand.subjects if contrast.estimand else {}
    split = ""
    if len(groups) > 1:
        split = f" ({', '.join(f'{n} {g}' for g, n in zip(plain(groups), groups.values(), strict=True))})"
    made = list(dict.fromkeys(filter(None, (each.contrast for each in contrast.inputs))))
    what = list_names(made or filter(None, [contrast.input_contrast]))
    if contrast.input_weights and list(contrast.input_weights) != made:
        what += f" ({express(contrast.input_weights)})"
    unit = contrast.input_units or "unit not known: the maps name none, or several"
    return real_minus(", ".join(filter(None, [f"{maps}{split}", what, unit])))


def _left_out(shown: Shown) -> str:
    reasons: dict[str, list[str]] = {}
    for one in shown.contrast.excluded:
        reasons.setdefault(one.reason, []).append(one.subject)
    return "; ".join(f"{', '.join(subjects)}: {reason}" for reason, subjects in reasons.items())


def _estimator(shown: Shown) -> str:
    """Return the estimator of the contrast, as the sidecar of its map has it, and its degrees of freedom."""
    path = sidecar_path(shown.contrast.maps[shown.statistic])
    said = read_json(shown.results.folder / path).get("EstimationMethod") if shown.results.has(path) else None
    words = str(said).removesuffix(ON_EFFECTS) if said else shown.results.record.estimator
    dof = _dof(shown)
    return f"{words}; {dof}" if dof else words


def _dof(shown: Shown) -> str:
    contrast = shown.contrast
    known = contrast.dof if isinstance(contrast.dof, list) else [contrast.dof]
    residual = known[-1]
    if contrast.test == "z":
        return ""
    if residual is not None:
        words = short(round(residual, 1))
    elif shown.results.has(contrast.maps.get("dof")):
        values = shown.results.read_map(contrast.maps["dof"]).values
        found = values[np.isfinite(values) & (values > 0)]
        if not len(found):
            return ""
        low, high = (short(round(float(value), 1)) for value in (found.min(), found.max()))
        words = low if low == high else f"{low} to {high} (they differ between voxels)"
    else:
        return ""
    if contrast.test == "F" and known[0] is not None:
        return f"{short(known[0])} and {words} degrees of freedom"
    return f"{words} residual degrees of freedom"


def _main(shown: Shown, main: ThresholdRecord) -> str:
    record, chosen = shown.results.record, shown.contrast.main_threshold
    sizes = [short(v) for v in record.voxel_size_mm]
    size = sizes[0] if len(set(sizes)) == 1 else " × ".join(sizes)
    mask = record.choices.group.mask
    where = f", within {'grey matter' if mask == 'grey-matter' else 'a mask'}" if mask else ""
    how = ""
    if chosen:
        how = f"; {chosen.words}" if chosen.declared else "; the default, as none was declared"
    return f"{shown.searched(main)} ({size} mm{where}){how}"


def _controls(shown: Shown, main: ThresholdRecord) -> str:
    row = THRESHOLDS.get(main.method)
    if row is None or main.reason:
        return ""
    kind = row.controls
    if kind == "FWE" and row.is_formed:
        kind = "clusters"
    elif row.statistic and STATISTICS[row.statistic].needs == "maps":
        kind = "maps"
    sides = 2 if shown.hypothesis.has_direction and main.tail == "two" else 1
    chance = f"{shown.n_tested * main.alpha * sides:,.0f}"
    return CONTROLS[kind].format(
        alpha=f"{main.alpha:g}",
        sure=f"{1 - main.alpha:g}",
        chance=chance,
        lacking=LACKING.get(shown.contrast.test, "without an effect"),
    )


def _shuffling(shown: Shown, done: PermutationRecord) -> str:
    """Return how the contrast was shuffled, why so, and what that supposes."""
    units = "blocks" if done.mode == "whole" else "subjects"
    name = SCHEMES.get(done.scheme, done.scheme) + MODES.get(done.mode or "", "").format("blocks")
    number = f"{done.n_shuffles:,}"
    several = (
        f"all {number} possible {name}" if done.exact else f"{number} {name}, drawn with seed {done.seed}"
    )
    said = [several]
    if done.scheme_reason:
        said.append(f"so chosen because {done.scheme_reason}")
    if done.scheme in ALLOWED:
        said.append(ALLOWED[done.scheme].format(units=units))
    if done.statistic not in (None, "t", "F"):
        said.append(f"what is shuffled is {done.statistic}")
        if done.statistic in OTHER_STATISTICS:
            said[-1] += (
                f", not the {shown.statistic} of the map: voxels of one {shown.statistic} may differ in p"
            )
    if done.incomplete_voxels:
        said.append(f"{count(done.incomplete_voxels, 'voxel')} without some subjects with those there")
    return "; ".join(said)


def _family(shown: Shown) -> tuple[str, str]:
    """Return over which contrasts errors are corrected, or are not."""
    done = shown.contrast.permutation
    if done and done.family[:1].isdigit():
        return "Corrected over", done.family
    beside = [c for c in shown.results.record.contrasts if c.name != shown.contrast.name]
    others = [c.name for c in beside if not c.descriptive]
    if not others:
        return "Not corrected for", ""
    would = " (--across-contrasts would)" if done else ""
    said = f"{'the other contrast' if len(others) == 1 else 'the other contrasts'} of this model{would}: "
    means = describe_means(beside)
    return "Not corrected for", said + list_names(others) + (f". {means}" if means else "")


def _draw_conditions(shown: Shown, book: FigureBook) -> Markup | None:
    rows = [row for row in shown.hypothesis.conditions if row]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) < 2:
        return None
    weights = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    return _draw(shown, book, weights, plain(names), "conditions")


def _draw_design(shown: Shown, book: FigureBook) -> Markup | None:
    path = shown.contrast.design or shown.results.record.design
    if shown.contrast.test == "z" or not shown.results.has(path):
        return None
    table = shown.results.read_table(path).iloc[:, 1:]
    columns = [str(name) for name in table.columns]
    rows = rows_of(shown.contrast.weights)
    weights = np.array([[row.get(name, 0.0) for name in columns] for row in rows])
    return _draw(shown, book, weights, columns, "design", table.to_numpy(float))


def _draw(
    shown: Shown,
    book: FigureBook,
    weights: np.ndarray,
    columns: Sequence[str],
    what: str,
    matrix: np.ndarray | None = None,
) -> Markup:
    said = "; ".join(
        express({name: w for name, w in zip(columns, row, strict=True) if w}) or "0" for row in weights
    )
    alt = f"Weights of {shown.contrast.name} over the {what}: {said}"
    if len(weights) > MOST_ROWS:
        figure = draw_contrasts(weights, columns, [str(i + 1) for i in range(len(weights))], alt=alt)
    else:
        figure = draw_weights(weights, columns, matrix=matrix, alt=alt)
    return book.add(figure, shown.path("weights", desc=what), "exact")
