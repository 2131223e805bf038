"""The verdict at the top of a contrast's page, in words."""

from dataclasses import replace

import numpy as np
import pytest
from saved_records import make

from bidsapp.outputs.results import Volume, read_group_results
from bidsapp.outputs.saved.group import EstimandRecord, ThresholdRecord
from bidsapp.report.numbers import decimals, estimate_with_limits, real_minus, with_dof
from bidsapp.report.render import FigureBook
from bidsapp.report.sections.contrast.hypothesis import Direction, Hypothesis
from bidsapp.report.sections.contrast.shown import Shown, first_region
from bidsapp.report.sections.contrast.verdict import Side, make_section, say_sides, verdict

HOSTILE = "<script>alert('x')</script>"
HIGHER, LOWER = Direction("is", "higher", "for A than for B"), Direction("is", "lower", "for A than for B")
RISES, FALLS = Direction("", "rises", "with age"), Direction("", "falls", "with age")
DIFFER = Direction("", "differ", "(k)")
PAIRED = Hypothesis("difference", "The response", HIGHER, LOWER, "difference")
SLOPE = Hypothesis("slope", "The response", RISES, FALLS, "slope")
JOINT = Hypothesis("F", "The conditions", DIFFER, DIFFER, "effect")
UP, DOWN = Side("positive", 2, 1125, 72_000.0), Side("negative", 1, 5, 320.0)


@pytest.mark.parametrize(
    ("hypothesis", "tail", "sides", "words"),
    [
        (
            PAIRED, "two", [UP, DOWN],
            "The response is higher for A than for B in 2 clusters (1,125 voxels, 72.0 ml) "
            "and lower in 1 (5 voxels, 0.32 ml).",
        ),
        (
            PAIRED, "two", [replace(DOWN, n_voxels=1)],
            "The response is lower for A than for B in 1 cluster (1 voxel, 0.32 ml); nowhere higher.",
        ),
        (
            PAIRED, "positive", [UP],
            "The response is higher for A than for B in 2 clusters (1,125 voxels, 72.0 ml); only this "
            "direction was tested.",
        ),
        (
            SLOPE, "two", [DOWN, UP],
            "The response falls with age in 1 cluster (5 voxels, 0.32 ml) and rises in 2 "
            "(1,125 voxels, 72.0 ml).",
        ),
        (
            SLOPE, "two", [UP],
            "The response rises with age in 2 clusters (1,125 voxels, 72.0 ml); it falls nowhere.",
        ),
        (JOINT, "two", [UP], "The conditions differ (k) in 2 clusters (1,125 voxels, 72.0 ml)."),
    ],
)  # fmt: skip
def test_what_survives_is_said_with_its_directions(hypothesis, tail, sides, words):
    assert say_sides(hypothesis, tail, sides).striptags() == words


def test_directions_have_their_colours_and_labels_are_text():
    rest = f"for {HOSTILE} than for B"
    hostile = replace(PAIRED, subject=f"The {HOSTILE}", above=replace(HIGHER, rest=rest))
    said = say_sides(hostile, "two", [UP, DOWN])
    assert '<b class="positive">higher</b>' in said
    assert '<b class="negative">lower</b>' in said
    assert "<script" not in said
    assert said.count("&lt;script") == 2


@pytest.fixture(scope="module")
def shown(output_folder):
    (results,) = read_group_results(output_folder)
    return Shown(results, results.record.contrasts[0], ())


def of(shown, **main):
    """Return the contrast with another main threshold."""
    contrast = shown.contrast
    first = replace(contrast.main, **main)
    return Shown(shown.results, replace(contrast, thresholds=(first, *contrast.thresholds[1:])), ())


def test_counts_are_those_of_the_table_of_the_main_threshold(shown):
    clusters = shown.results.read_table(shown.contrast.main.clusters)
    found = verdict(shown)
    assert found.survives
    assert found.short == f"{len(clusters)} clusters, {clusters['n_voxels'].sum()} voxels"
    counts = clusters["sign"].value_counts()
    assert set(found.detail.split(" · ")) == {f"{n} {sign}" for sign, n in counts.items()}


def test_the_strongest_peak_is_that_of_the_table_with_its_p_and_interval(shown):
    peaks = shown.results.read_table(shown.contrast.main.peaks)
    row = peaks.loc[peaks["z"].abs().idxmax()]
    peak = verdict(shown).peak
    assert peak.value == decimals(row["z"], 2)
    assert peak.place == ", ".join(decimals(row[f"peak_{axis}"], 0) for axis in "xyz")
    assert peak.p.startswith("corrected p .0")
    assert peak.region == first_region(row["aal"])
    place = [row[f"peak_{axis}"] for axis in "xyz"]
    effect, variance = (shown.at(shown.contrast.maps[key], place) for key in ("effect", "variance"))
    error = variance**0.5
    # t with 3 degrees of freedom.
    middle, low, high = estimate_with_limits(effect, error, 3.182446 * error)
    assert peak.effect == f"mean {middle} % signal change, 95 % interval {low} to {high}"


def test_without_a_unit_none_is_said(shown):
    plain = Shown(shown.results, replace(shown.contrast, units=None), ())
    assert ", 95 % interval" in verdict(plain).peak.effect
    assert "None" not in verdict(plain).peak.effect
    assert "%" not in verdict(plain).peak.effect.split(",")[0]


def test_nothing_comes_first_with_the_strongest_value_and_its_corrected_p(shown):
    empty = of(shown, n_voxels=0, n_clusters=0, clusters=None, peaks=None, labels=None)
    found = verdict(empty)
    assert found.survives is False
    assert found.finding.striptags().startswith(
        "Nothing survives Family-wise error, largest t of each shuffle (neither"
    )
    assert found.short == "Nothing survives"
    assert "does not show that there is no effect" in " ".join(found.remarks)
    values = np.nan_to_num(shown.whole.values)
    assert found.peak.value == decimals(values.ravel()[np.abs(values).argmax()], 2)
    logp = shown.results.read_map(shown.contrast.main.p_map).values
    p = 10.0 ** -logp.ravel()[np.abs(values).argmax()]
    assert found.peak.p == f"corrected p {p:.3f}".replace("0.", ".")
    assert 'class="verdict nothing"' in make_section(empty, FigureBook()).content


def test_one_tail_has_its_own_strongest_value_and_words(shown):
    empty = of(shown, n_voxels=0, n_clusters=0, clusters=None, peaks=None, labels=None, tail="negative")
    found = verdict(empty)
    assert found.peak.value == decimals(float(np.nan_to_num(shown.whole.values).min()), 2)
    assert (
        "(tested: whether the effect of incongruent - congruent is below zero)" in found.finding.striptags()
    )


def test_a_main_threshold_that_was_not_computed_is_said_with_its_reason(shown):
    found = verdict(of(shown, n_voxels=0, reason=f"no shuffles of {HOSTILE}."))
    assert found.survives is None
    assert found.finding.striptags().startswith("The main threshold was not computed")
    assert "<script" not in found.finding
    assert found.peak.p == ""
    assert found.short == "Not computed"


def test_an_uncorrected_threshold_says_that_it_is_none_for_claims(shown):
    by = {threshold.method: threshold for threshold in shown.contrast.thresholds}
    found = verdict(Shown(shown.results, replace(shown.contrast, thresholds=(by["uncorrected"],)), ()))
    assert "no basis for a claim" in " ".join(found.remarks)
    assert found.peak.p.startswith("uncorrected p ")


def test_a_contrast_without_thresholds_has_a_verdict_too(shown):
    found = verdict(Shown(shown.results, replace(shown.contrast, thresholds=()), ()))
    assert found.finding.striptags() == "No threshold was computed."


def test_groups_are_named_in_the_verdict(shown):
    weights = [{"group.patient": {"x": 1.0}, "group.control": {"x": -1.0}}]
    estimand = EstimandRecord(text="", weights=weights, subjects={"group.patient": 2, "group.control": 2})
    found = verdict(Shown(shown.results, replace(shown.contrast, estimand=estimand), ()))
    assert "in patient than in control in" in found.finding.striptags()
    assert found.peak.effect.startswith("difference ")


def test_numbers_have_real_minus_and_the_decimals_of_their_error():
    assert decimals(-0.004, 2) == "0.00"
    assert estimate_with_limits(-1.2189, 0.1222, 0.2662) == ("−1.22", "−1.49", "−0.95")
    assert estimate_with_limits(0.1 + 0.2, 0.0, 0.0)[0] == "0.300"
    assert with_dof("t", [12.0]) == "t(12)"
    assert with_dof("F", [2.0, 13.456]) == "F(2, 13.5)"
    assert with_dof("F", [2.0, None]) == "F"
    assert with_dof("z", []) == "z"
    assert real_minus("- A - 0.5 B") == "− A − 0.5 B"


def test_regions_are_the_first_of_a_label():
    assert first_region("62% Left_Frontal_Pole; 11% B") == "Left Frontal Pole"
    assert first_region("no_label") == ""


def test_p_of_a_rate_of_false_discoveries_is_called_q(shown):
    q = make(ThresholdRecord, method="fdrBH", title="FDR", alpha=0.05, tail="two", statistic="z", cutoff=None)
    found = Shown(shown.results, replace(shown.contrast, thresholds=(q,)), ())
    object.__setattr__(found, "at", lambda path, place: 0.2)
    whole = Volume(np.ones((2, 2, 2)), np.eye(4))
    found.__dict__["whole"] = whole
    assert verdict(found).peak.p == "q .200"
