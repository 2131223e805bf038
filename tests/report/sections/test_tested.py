"""The box that says what was tested."""

import re
from dataclasses import replace

import numpy as np
import pytest
from saved_records import make

from bidsapp.outputs.results import read_group_results
from bidsapp.outputs.saved.group import (
    EstimandRecord,
    ExcludedRecord,
    InputRecord,
    MainThresholdRecord,
    PermutationRecord,
)
from bidsapp.report.render import FigureBook
from bidsapp.report.sections.contrast.shown import Shown
from bidsapp.report.sections.contrast.tested import ask, list_facts, make_section

HOSTILE = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def shown(output_folder):
    (results,) = read_group_results(output_folder)
    return Shown(results, results.record.contrasts[0])


def of(shown, tail="two", **changes):
    contrast = replace(shown.contrast, **changes)
    thresholds = tuple(replace(one, tail=tail) for one in contrast.thresholds)
    return Shown(shown.results, replace(contrast, thresholds=thresholds))


def facts_of(shown):
    return {fact.name: fact.words for fact in list_facts(shown)}


def estimand(rows):
    return EstimandRecord(text="what is estimated", weights=rows, subjects={"group.a": 3, "group.b": 1})


def test_questions_have_their_direction(shown):
    assert ask(shown) == "Is the effect of incongruent - congruent different from zero?"
    known = {"incongruent": 1.0, "congruent": -1.0}
    single = estimand([{"all subjects": {"incongruent - congruent": 1.0}}])
    paired = {"estimand": single, "input_weights": known}
    than = "for incongruent than for congruent"
    assert ask(of(shown, **paired)) == f"Is the response higher {than}, or lower?"
    assert ask(of(shown, "negative", **paired)) == f"Is the response lower {than}?"
    slope = {"estimand": estimand([{}]), "weights": {"age": 1.0}, "input_weights": {"face": 1.0}}
    assert ask(of(shown, **slope)) == "Does the response to face change with age?"
    assert ask(of(shown, "negative", **slope)) == "Does the response to face fall with age?"
    joint = {"test": "F", "estimand": estimand([{"all subjects": {"A": 1.0, "B": -1.0}}] * 2)}
    assert ask(of(shown, name="stimulus", **joint)) == "Do the conditions differ (stimulus)?"
    rows = [{"all subjects": {"A": 1.0, "B": -1.0}}, {"all subjects": {"C": 1.0, "D": -0.5, "E": -0.5}}]
    several = {"test": "F", "estimand": estimand(rows), "name": "pairs", "weights": [{}, {}]}
    question = "Is at least one of the 2 contrasts of pairs not zero"
    assert ask(of(shown, **several)) == f"{question}: A − B; C − 0.5 D − 0.5 E?"
    facts = {fact.name: fact.words for fact in list_facts(of(shown, **several | {"weights": {"1": 1.0}}))}
    assert facts["Model"] == "null hypothesis: what is estimated"
    groups = [{"old": {"A": 1.0}, "young": {"A": -1.0}}, {"old": {"B": 1.0}, "young": {"B": -1.0}}]
    assert ask(of(shown, **several | {"estimand": estimand(groups)})) == f"{question}?"
    interaction = "Do the effects of a and b depend on each other (interaction)?"
    assert ask(of(shown, **several | {"name": "a x b"})) == interaction
    both = {"test": "z", "group_contrast": "A and B"}
    assert ask(of(shown, **both)) == (
        "Are the effects of A and B both different from zero in the same direction?"
    )
    assert ask(of(shown, "positive", **both)) == "Are the effects of A and B both above zero?"


def test_colours_are_named_with_the_side_that_they_mean(shown):
    text = re.sub("<[^>]+>", "", make_section(shown, FigureBook()).content)
    assert "Tested in both directions: orange where it is above zero, blue where it is below zero." in text
    weights = {"estimand": estimand([{"g": {"A": 1.0, "B": -1.0}}])}
    paired = re.sub("<[^>]+>", "", make_section(of(shown, **weights), FigureBook()).content)
    assert "orange where it is higher for A than for B, blue where it is lower." in paired
    lower = re.sub("<[^>]+>", "", make_section(of(shown, "negative", **weights), FigureBook()).content)
    assert "blue where it is lower for A than for B." in lower
    one = re.sub("<[^>]+>", "", make_section(of(shown, "negative"), FigureBook()).content)
    assert "Tested in one direction only: blue where it is below zero." in one
    assert "orange" not in one


def test_facts_name_inputs_model_threshold_and_family(shown):
    facts = facts_of(of(shown, input_units="% signal change"))
    assert facts["Inputs"] == "effects of 4 subjects, incongruent − congruent, % signal change"
    assert facts["Estimated by"] == "ordinary least squares; 3 residual degrees of freedom"
    voxels = f"{shown.results.record.n_voxels:,} voxels"
    assert f"largest t of each shuffle, α = 0.05, over {voxels} (8 mm)" in facts["Main threshold"]
    assert facts["It controls"] == "the chance that any voxel without an effect survives is at most 0.05"
    other = "the other contrast of this model (--across-contrasts would): responseGtRest"
    assert facts["Not corrected for"] == other


def test_contrasts_that_are_not_counted_are_named(shown):
    record = shown.results.record
    first, other = record.contrasts
    more = [replace(other, name=f"mean{k}", descriptive=True) for k in range(2)]
    changed = replace(record, contrasts=(first, other, *more))
    facts = facts_of(Shown(replace(shown.results, record=changed), first))
    means = "Means of groups are descriptive and not counted: mean0, mean1."
    assert facts["Not corrected for"].endswith(f"would): {other.name}. {means}")


def test_a_conjunction_is_said_of_all_its_effects(shown):
    both = of(shown, test="z", group_contrast="A and B", permutation=None)
    text = re.sub("<[^>]+>", "", make_section(both, FigureBook()).content)
    assert "orange where they are both above zero, blue where they are both below zero." in text
    lacking = "any voxel without one or more of the effects survives"
    assert lacking in facts_of(both)["It controls"]


def test_shuffling_is_told_with_its_reason_and_what_it_supposes(shown):
    done = make(
        PermutationRecord, n_shuffles=1000, scheme="permutation", mode="within", seed=7,
        scheme_reason="the effect is no mean; within blocks, where the effect varies", smallest_p=0.001,
        family="2 contrasts, maximum over contrasts in each shuffle (a, b)",
    )  # fmt: skip
    facts = facts_of(of(shown, permutation=done))
    assert facts["Shuffling"].startswith(
        "1,000 permutations within blocks, drawn with seed 7; so chosen because the"
    )
    assert "subjects are independent and, without the effect, alike" in facts["Shuffling"]
    assert facts["Smallest possible p"] == ".001"
    assert facts["Corrected over"].startswith("2 contrasts")
    assert "Not corrected for" not in facts
    flips = replace(done, scheme="sign-flip", exact=True, mode="whole", statistic="t of the subjects' scores")
    said = facts_of(of(shown, permutation=flips))["Shuffling"]
    assert said.startswith("all 1,000 possible sign flips of whole blocks; ")
    assert "symmetric about zero and independent between blocks" in said
    assert said.endswith(
        "what is shuffled is t of the subjects' scores, not the z of the map: voxels of one z may differ in p"
    )
    assert (
        facts_of(of(shown, permutation=None))["Shuffling"]
        == "none: p is that of t, which supposes normal errors"
    )


def test_a_conjunction_is_made_from_maps_of_other_contrasts(shown):
    facts = facts_of(of(shown, test="z", group_contrast="A and B", permutation=None))
    assert facts["Inputs"] == "the z maps of A and B, of 4 subjects"
    assert facts["Shuffling"] == "none: p of the minimum of the z-values"
    assert facts["Estimated by"] == "ordinary least squares"


def test_who_is_left_out_is_named_with_the_reason(shown):
    out = [
        ExcludedRecord(subject=s, reason=why)
        for s, why in (("sub-1", "no map"), ("sub-2", HOSTILE), ("sub-3", "no map"))
    ]
    changed = of(shown, excluded=tuple(out))
    assert facts_of(changed)["Left out"] == f"sub-1, sub-3: no map; sub-2: {HOSTILE}"
    assert "<script" not in make_section(changed, FigureBook()).content
    assert "Left out" not in facts_of(shown)


def test_groups_are_counted_and_several_maps_a_subject_are_said(shown):
    entries = tuple(
        InputRecord(subject=f"sub-{k % 2}", effect="", variance=None, contrast="AB"[k // 2]) for k in range(4)
    )
    changed = of(shown, inputs=entries, n_subjects=2, estimand=estimand([{}]), input_units=None)
    assert facts_of(changed)["Inputs"] == (
        "4 effect maps of 2 subjects (3 a, 1 b), A and B, unit not known: the maps name none, or several"
    )


def test_degrees_of_freedom_that_differ_are_a_range(shown):
    maps = shown.contrast.maps | {"dof": shown.contrast.maps["t"]}
    values = shown.results.read_map(maps["dof"]).values
    low, high = (f"{v:.1f}".rstrip("0").rstrip(".") for v in (values[values > 0].min(), np.nanmax(values)))
    said = facts_of(of(shown, test="F", dof=[2, None], maps=maps))["Estimated by"]
    assert (
        said
        == f"ordinary least squares; 2 and {low} to {high} (they differ between voxels) degrees of freedom"
    )
    assert "n/a" not in facts_of(of(shown, dof=None))["Estimated by"]


def test_what_a_threshold_controls_is_in_words(shown):
    by = {threshold.method: threshold for threshold in shown.contrast.thresholds}
    tfce = replace(by["maxSize"], method="maxTFCE")
    said = facts_of(of(shown, thresholds=(tfce,)))["It controls"]
    assert said.startswith("the chance that any voxel survives whose TFCE draws on no effect is at most")
    assert said.endswith("a voxel without an effect may survive beside others with one")
    false = replace(by["maxSize"], method="fdrBH")
    said = facts_of(of(shown, thresholds=(false,)))["It controls"]
    assert said == "of the voxels that survive, a share of at most 0.05 on average is without an effect"
    size = facts_of(of(shown, thresholds=(by["maxSize"],)))["It controls"]
    assert "any cluster without an active voxel" in size
    none = facts_of(of(shown, thresholds=(by["uncorrected"],)))["It controls"]
    assert none == f"nothing: without any effect about {shown.n_tested * 0.002:.0f} voxels would survive"


def test_how_the_main_threshold_was_chosen_is_said(shown):
    words = "declared with --main-threshold height"
    chosen = MainThresholdRecord(method="maxT", declared=True, words=words)
    assert facts_of(of(shown, main_threshold=chosen))["Main threshold"].endswith(f"; {words}")
    default = replace(chosen, declared=False)
    assert facts_of(of(shown, main_threshold=default))["Main threshold"].endswith(
        "; the default, as none was declared"
    )


def test_weights_are_drawn_above_the_design_and_told(shown):
    book = FigureBook()
    rows = [{"all subjects": {"A": 1.0, "B": -0.5, "C": -0.5}}]
    content = make_section(of(shown, estimand=estimand(rows)), book).content
    conditions, design = book.files.values()
    assert conditions.alt.endswith("over the conditions: A - 0.5 B - 0.5 C")
    assert design.alt.endswith("over the design: intercept")
    assert conditions.body.count("var(--positive") == 1
    assert conditions.body.count("var(--negative") == 2
    assert "<image" in design.body
    assert "Weights over the conditions" in content


def test_hostile_names_are_text_everywhere(hostile_folder):
    (results,) = read_group_results(hostile_folder)
    for contrast in results.record.contrasts:
        content = make_section(Shown(results, contrast), FigureBook()).content
        assert "<script" not in content
