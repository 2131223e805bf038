"""The methods text says what was done, and nothing else."""

from types import SimpleNamespace

import numpy as np
import pytest
from saved_records import make

from bidsapp.group.fit import estimator_in_words
from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord
from bidsapp.participant.fit import method_in_words
from bidsapp.report.methods import describe_group, describe_participant

SHUFFLED = {"n_shuffles": 500, "scheme": "sign-flip", "exact": False, "seed": 3}
ALL = {"n_shuffles": 70, "scheme": "permutation", "exact": True, "seed": 3}


def threshold(method="maxT", title="voxel height, family-wise error 0.05 by shuffling, two-sided", reason=""):
    return {"method": method, "title": title, "alpha": 0.05, "tail": "two", "reason": reason}


def contrast(name, permutation=None, *thresholds, test="t", n_subjects=8):
    about = {"name": name, "test": test, "n_subjects": n_subjects, "maps": {}, "permutation": permutation}
    return about | {"thresholds": list(thresholds or [threshold()])}


def group_text(*contrasts, group=None, **permutation):
    record = {
        "versions": {}, "subjects": [{"label": "sub-01", "used": True}], "voxel_size_mm": [2, 2, 2],
        "settings": {"group": group or {}, "permutation": permutation}, "description": "A model.",
        "node": "dataset", "estimator": "ordinary least squares", "n_voxels": 100, "entities": {},
        "contrasts": list(contrasts),
    }  # fmt: skip
    return " ".join(describe_group(make(GroupRecord, **record)))


def participant_text(runs, estimates=(), model=None, **run):
    record = {
        "versions": {}, "settings": {"run": run, "model": model or {}}, "estimates": list(estimates),
        "model": {"automatic": True},
        "runs": [
            {"n_volumes": 100, "repetition_time": 2.0, "start_time": 0.0, "start_time_source": "none",
             "confounds": ["trans_x"], "noise_model": "ar1-reml", "censored": censored}
            for censored in runs
        ],
    }  # fmt: skip
    return " ".join(describe_participant(make(SubjectRecord, **record)))


def estimate(method):
    return {"level": "subject", "method": method, "runs": ["a", "b"]}


def test_shuffles_are_said_of_the_contrasts_that_had_them():
    text = group_text(contrast("mean", SHUFFLED), contrast("a vs b", ALL), contrast("few", None))
    assert "500 randomly drawn sign flips (seed 3) (mean)" in text
    assert "all 70 possible permutations (a vs b)" in text
    assert "Not shuffled: few." in text


def test_shuffles_alike_need_no_names():
    text = group_text(contrast("one", SHUFFLED), contrast("two", SHUFFLED))
    assert "Null distributions came from 500 randomly drawn sign flips (seed 3), the observed" in text
    assert "that there are 2 is not corrected for" in text
    assert "over all contrasts" in group_text(
        contrast("one", SHUFFLED), contrast("two", SHUFFLED), across_contrasts=True
    )


def test_a_threshold_that_could_not_be_computed_is_not_in_the_text():
    without = threshold("maxTFCE", "threshold-free cluster enhancement, 0.05", "no shuffles")
    text = group_text(contrast("mean", None, without, threshold("holm", "Holm, 0.05")))
    assert "Holm" in text
    assert "enhancement" not in text
    assert "Null distributions" not in text


def test_f_is_not_called_two_sided():
    assert "Tests were of F, upper tail." in group_text(contrast("any", SHUFFLED, test="F"))
    both = group_text(contrast("any", SHUFFLED, test="F"), contrast("mean", SHUFFLED))
    assert "Tests were of F, upper tail (any); of t, two-sided (mean)." in both


def test_clusters_are_said_by_the_connectivity_they_had():
    assert "one sign that share a face, numbered" in group_text(contrast("mean"), connectivity=6)


def test_approximations_and_early_stops_are_said():
    text = group_text(contrast("mean", SHUFFLED), tail_approximation="gpd", stop_when_decided=True)
    assert "generalised Pareto" in text
    assert "Shuffling stopped" in text
    assert "Pareto" not in group_text(contrast("mean", SHUFFLED), tail_approximation="none")


def test_contrasts_with_fewer_subjects_and_voxels_with_fewer_are_said():
    text = group_text(contrast("all"), contrast("rare", n_subjects=4), group={"min_subjects": "0.75"})
    assert "Fewer subjects have these contrasts: rare 4." in text
    assert "at least a share of 0.75 of the subjects" in text


def test_censored_volumes_are_counted():
    assert "5 of 200 volumes were censored" in participant_text([[3, 4, 5], [7, 8]])
    assert "censored" not in participant_text([[], []])
    assert "0 of 200 volumes were censored by the strategy motion6+scrub" in participant_text(
        [[], []], model={"confounds": "motion6+scrub"}
    )


def test_runs_are_combined_in_the_words_of_their_method():
    assert "weighted by the inverse" in participant_text([[]], [estimate("fixed effects")])
    equal = participant_text([[]], [estimate("fixed effects, equal weights")])
    assert "weighted alike" in equal
    assert "inverse" not in equal


def test_smoothed_coefficients_and_boosted_amplitudes_are_said():
    model = {"hrf_model": "spm+derivative"}
    text = participant_text([[]], model=model, noise_smoothing_fwhm=8.0, derivative_boost=True)
    assert "coefficients were smoothed with 8 mm" in text
    assert "derivative boost" in text
    assert "regressor of height 1" in text


@pytest.mark.parametrize(
    ("estimator", "groups", "scores", "words"),
    [
        ("ols", None, None, "ordinary least squares"),
        (
            "ols",
            [1, 2],
            None,
            "a variance for each group (Welch-Satterthwaite t, F of Kenward and Roger's kind)",
        ),
        ("reml", [1, 2], None, "a variance between subjects for each group"),
        ("ols", None, [[[0.0]]], "Hotelling's T2"),
        ("reml", None, [[0.0]], "mixed effects, REML"),
    ],
)
def test_estimators_are_named_for_what_they_did(estimator, groups, scores, words):
    fitted = SimpleNamespace(
        estimator=estimator,
        scores=None if scores is None else np.array(scores),
        tests=(),
        design=SimpleNamespace(variance_groups=groups),
    )
    assert words in estimator_in_words(fitted)


def test_contrasts_of_several_rows_a_subject_name_their_own_estimators():
    alike, apart = (SimpleNamespace(variance_groups=groups) for groups in (None, [1, 2]))
    tests = [SimpleNamespace(method=m, design=d) for m, d in (("own error", apart), ("sandwich", alike))]
    words = [estimator_in_words(SimpleNamespace(tests=tests), index) for index in (0, 1, None)]
    assert "one contrast a subject" in words[0]
    assert words[0].endswith(
        "a variance for each group (Welch-Satterthwaite t, F of Kenward and Roger's kind)"
    )
    assert "sandwich" in words[1]
    assert words[2] == "; ".join(words[:2])


def test_equal_weights_are_named():
    fit = SimpleNamespace(method="fixed", method_in_words="fixed effects")
    assert method_in_words(fit, "equal") == "fixed effects, equal weights"
