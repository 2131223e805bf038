"""The verdict at the top of a contrast's page, in words."""

from dataclasses import replace

import numpy as np
import pytest
from saved_records import make

from bidsapp.outputs.results import read_group_results
from bidsapp.outputs.saved.group import DetectableRecord, EstimandRecord
from bidsapp.report.numbers import decimals, printed_decimals, real_minus, with_dof
from bidsapp.report.render import FigureBook, show_p
from bidsapp.report.sections.contrast.hypothesis import Direction, Hypothesis
from bidsapp.report.sections.contrast.shown import Shown, first_region
from bidsapp.report.sections.contrast.verdict import (
    NO_PROOF,
    Side,
    find_peak,
    find_sides,
    make_section,
    say_detectable,
    say_sides,
    verdict,
)

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
            "The response is lower for A than for B in 1 cluster (1 voxel, 0.32 ml); "
            "in the other direction (higher) nothing survives.",
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
            "The response rises with age in 2 clusters (1,125 voxels, 72.0 ml); "
            "in the other direction (falls) nothing survives.",
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
    return Shown(results, results.record.contrasts[0])


def at_peak(shown, **row):
    """Return the contrast with one strongest peak."""
    known = {
        "peak_x": -36.0,
        "peak_y": 0.2,
        "peak_z": 8.0,
        "aal": "Fusiform_L; Lingual_L",
        "sign": "negative",
    }
    found = Shown(shown.results, shown.contrast)
    found.__dict__["strongest"] = known | {"z": -4.257} | row
    return found


def of(shown, **main):
    """Return the contrast with another main threshold."""
    contrast = shown.contrast
    first = replace(contrast.main, **main)
    return Shown(shown.results, replace(contrast, thresholds=(first, *contrast.thresholds[1:])))


def test_counts_are_those_of_the_table_of_the_main_threshold(shown):
    clusters = shown.results.read_table(shown.contrast.main.clusters)
    found = verdict(shown)
    assert found.survives
    assert found.short == f"{len(clusters)} clusters, {clusters['n_voxels'].sum()} voxels"
    counts = clusters["sign"].value_counts()
    assert set(found.detail.split(" · ")) == {f"{n} {sign}" for sign, n in counts.items()}


def test_the_side_with_more_voxels_comes_first(shown):
    clusters = shown.results.read_table(shown.contrast.main.clusters)
    voxels = clusters.groupby("sign")["n_voxels"].sum().sort_values(ascending=False)
    assert len(voxels) == 2
    sides = find_sides(shown, shown.contrast.main)
    assert [(side.sign, side.n_voxels) for side in sides] == list(voxels.items())
    volumes = clusters.groupby("sign")["volume_mm3"].sum()
    assert [side.volume_mm3 for side in sides] == [volumes[side.sign] for side in sides]


def test_the_strongest_peak_is_that_of_the_table_with_its_p(shown):
    peaks = shown.results.read_table(shown.contrast.main.peaks)
    row = peaks.loc[peaks["z"].abs().idxmax()]
    peak = verdict(shown).peak
    assert peak.value == decimals(row["z"], 2)
    assert peak.place == ", ".join(decimals(row[f"peak_{axis}"], 0) for axis in "xyz")
    assert peak.p == f"corrected p {show_p(row['p_fwe'])}"
    assert peak.region == first_region(row["aal"])
    digits = printed_decimals(row["effect_se"])
    middle, low, high = (decimals(row[f"effect{end}"], digits) for end in ("", "_low", "_high"))
    assert peak.effect == f"mean {middle} % signal change, 95 % interval {low} to {high}"
    without = at_peak(shown, effect=1.0, effect_se=np.nan)
    assert find_peak(without).effect == ""


def test_a_peak_has_its_place_region_dof_effect_and_interval(shown):
    limits = {"effect_se": 0.0122, "effect_low": -1.486, "effect_high": -0.9561}
    found = at_peak(shown, effect=-1.2215, p_fwe=0.0021, **limits)
    peak = find_peak(found)
    assert peak.where == "Fusiform L (−36, 0, 8)"
    assert (peak.sign, peak.value, peak.p) == ("negative", "−4.26", "corrected p .002")
    assert peak.effect == "mean −1.222 % signal change, 95 % interval −1.486 to −0.956"
    no_unit = replace(found, contrast=replace(found.contrast, units=None))
    no_unit.__dict__["strongest"] = found.strongest
    assert find_peak(no_unit).effect == "mean −1.222, 95 % interval −1.486 to −0.956"


@pytest.mark.parametrize(
    ("test", "dof", "row", "words"),
    [
        ("t", 12.0, {"t": 9.0}, "t(12)"),
        ("t", None, {"t": 9.0, "dof": 11.26}, "t(11.3)"),
        ("F", [2, None], {"F": 9.0, "dof": 27.9}, "F(2, 27.9)"),
        ("F", [2, 14.0], {"F": 9.0}, "F(2, 14)"),
        ("F", [2, None], {"F": 9.0}, "F"),
    ],
)
def test_degrees_of_freedom_are_those_of_the_peak(shown, test, dof, row, words):
    main = replace(shown.contrast.main, statistic=test)
    contrast = replace(shown.contrast, test=test, dof=dof, thresholds=(main,))
    found = Shown(shown.results, contrast)
    found.__dict__["strongest"] = at_peak(shown).strongest | row
    assert find_peak(found).statistic == words
    assert (find_peak(found).sign == "") == (test == "F")


def test_nothing_comes_first_with_the_strongest_peak_of_the_whole_map(shown):
    nothing = {"n_voxels": 0, "n_clusters": 0, "clusters": None, "peaks": None}
    strongest = shown.contrast.thresholds[1].peaks
    empty = of(shown, **nothing)
    empty = Shown(shown.results, replace(empty.contrast, strongest=strongest))
    found = verdict(empty)
    assert found.survives is False
    words = found.finding.striptags()
    rule = "Family-wise error, largest t of each shuffle, α = 0.05 (neither direction)"
    assert words == f"Nothing survives {rule}, over {shown.n_tested:,} voxels."
    assert found.short == "Nothing survives"
    assert "does not show that there is no effect" in " ".join(found.remarks)
    values = shown.results.read_table(strongest)["z"]
    assert found.peak.value == decimals(values[values.abs().argmax()], 2)
    assert 'class="verdict nothing"' in make_section(empty, FigureBook()).content
    assert verdict(of(shown, **nothing)).peak is None


def test_what_could_have_been_found_is_said_where_nothing_survives(shown):
    found = make(
        DetectableRecord,
        power=0.8,
        height="voxel height by shuffling",
        quarter=0.0321,
        half=0.4564,
        three_quarters=12.345,
    )
    contrast = replace(shown.contrast, detectable=found, units="% signal change")
    words, short = say_detectable(contrast, "difference")
    assert words == (
        "This does not show that there is no effect: with 80 % power this study could have found a "
        "difference of 0.456 % signal change or more in half of the voxels (in a quarter of them 0.0321, "
        "in three quarters 12.3). That is the height which a voxel by itself needs: voxel height by "
        "shuffling."
    )
    assert short == "detectable: 0.456 % signal change (80 % power, half of the voxels)"
    tfce = replace(contrast.main, method="maxTFCE")
    words, short = say_detectable(replace(contrast, thresholds=(tfce,), units=None), "effect")
    assert "found an effect of 0.456 or more" in words
    assert words.endswith("; wide effects may be found by TFCE at less.")
    assert say_detectable(replace(contrast, detectable=None), "effect") == (f"{NO_PROOF}.", "")


def test_one_tail_says_what_was_looked_for(shown):
    empty = of(
        shown,
        n_voxels=0,
        n_clusters=0,
        peaks=None,
        tail="negative",
        title="X, one-sided, negative effects; Y at 0.05",
    )
    said = verdict(empty).finding.striptags()
    assert (
        said
        == "Nothing survives X; Y at 0.05 (tested: whether the effect of incongruent - congruent is below "
        f"zero), over {shown.n_tested:,} voxels."
    )


def test_a_main_threshold_that_was_not_computed_is_said_with_its_reason(shown):
    found = verdict(of(shown, n_voxels=0, reason=f"no shuffles of {HOSTILE}."))
    assert found.survives is None
    assert found.finding.striptags().startswith("The main threshold was not computed")
    assert "<script" not in found.finding
    assert found.short == "Not computed"


def test_an_uncorrected_threshold_says_that_it_is_none_for_claims(shown):
    by = {threshold.method: threshold for threshold in shown.contrast.thresholds}
    found = verdict(Shown(shown.results, replace(shown.contrast, thresholds=(by["uncorrected"],))))
    assert "no basis for a claim" in " ".join(found.remarks)
    assert found.peak.p.startswith("uncorrected p ")


def test_a_contrast_without_thresholds_has_a_verdict_too(shown):
    found = verdict(Shown(shown.results, replace(shown.contrast, thresholds=())))
    assert found.finding.striptags() == "No threshold was computed."


def test_groups_are_named_in_the_verdict(shown):
    weights = [{"group.patient": {"x": 1.0}, "group.control": {"x": -1.0}}]
    estimand = EstimandRecord(text="", weights=weights, subjects={"group.patient": 2, "group.control": 2})
    found = verdict(Shown(shown.results, replace(shown.contrast, estimand=estimand)))
    assert "in patient than in control in" in found.finding.striptags()


def test_numbers_have_real_minus_and_the_decimals_of_their_error():
    assert decimals(-0.004, 2) == "0.00"
    assert [printed_decimals(error) for error in (0.1222, 0.0032, 34.0)] == [2, 4, 0]
    assert with_dof("t", [12.0]) == "t(12)"
    assert with_dof("F", [2.0, 13.456]) == "F(2, 13.5)"
    assert with_dof("F", [2.0, None]) == "F"
    assert with_dof("z", []) == "z"
    assert real_minus("- A - 0.5 B") == "− A − 0.5 B"


def test_regions_are_the_first_of_a_label():
    assert first_region("62% Left_Frontal_Pole; 11% B") == "Left Frontal Pole"
    assert first_region("no_label") == ""


@pytest.mark.parametrize(
    ("method", "column", "words"),
    [
        ("fdrBH", "q", "q .200"),
        ("maxTFCE", "p_fwe_tfce", "corrected p .200"),
        ("ari", "p", ""),
        ("gone", "p", ""),
    ],
)
def test_p_is_called_by_what_the_threshold_controls(shown, method, column, words):
    main = replace(shown.contrast.main, method=method)
    found = Shown(shown.results, replace(shown.contrast, thresholds=(main,)))
    found.__dict__["strongest"] = at_peak(shown).strongest | {column: 0.2}
    assert find_peak(found).p == words
