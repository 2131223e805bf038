"""Every sentence of the methods text against the settings and the record; one without a row here fails."""

import ast
from dataclasses import fields, replace
from pathlib import Path

import pytest
from saved_records import make

from bidsapp.outputs.saved.group import GroupRecord
from bidsapp.outputs.saved.participant import SubjectRecord
from bidsapp.report import methods, noise_text
from bidsapp.settings.parts import GroupOptions, ModelOptions, PermutationOptions, RunOptions
from bidsapp.vocabulary.estimators import ESTIMATORS

RULE = {"title": "voxel height, 0.05", "alpha": 0.05, "tail": "two", "reason": ""}
DRAWN = {
    "n_shuffles": 500,
    "scheme": "sign-flip",
    "exact": False,
    "seed": 3,
    "statistic": "t",
    "family": "the points",
}
ALL = DRAWN | {"n_shuffles": 70, "scheme": "permutation", "exact": True}
CHOSEN = {"method": "maxT", "declared": True, "words": "declared with --main-threshold height"}

REML = ESTIMATORS["reml"].words
NOISE = {"order": 3, "requested": "auto", "corrected": True, "dof": [50.0, 60.0, 70.0]}


def rule(method="maxT", **more):
    return RULE | {"method": method} | more


def contrast(name="mean", permutation=DRAWN, *thresholds, **more):
    about = {
        "name": name,
        "test": "t",
        "n_subjects": 8,
        "maps": {},
        "permutation": permutation,
        "descriptive": False,
    }
    return about | {"thresholds": list(thresholds or [rule()])} | more


def group(*contrasts, made_with=None, subjects=(), **parts):
    """Return a group record; ``parts`` are parts of the settings."""
    about = {
        "versions": {
            "taskglm": "9",
            "python": "3",
            "numpy": "2",
            "scipy": "1",
            "nilearn": "0",
            "pybids": "0",
        },
        "subjects": [{"label": "sub-01", "used": True}, *subjects],
        "voxel_size_mm": [2, 2, 3],
        "settings": parts,
        "description": "A model of 1 subject.",
        "node": "dataset",
        "formula": "effect ~ 1",
        "estimator": "ordinary least squares",
        "n_voxels": 100,
        "entities": {"space": "MNI"},
        "made_with": made_with,
        "contrasts": list(contrasts or [contrast()]),
    }
    return make(GroupRecord, **about)


def subject(*, method="run GLM", automatic=True, estimates=(), model=None, run=None, **of_run):
    about = {"n_volumes": 100, "repetition_time": 2.0, "start_time": 0.0, "start_time_source": "none"}
    about |= {"confounds": ["trans_x"], "noise_model": "ar1-reml", "censored": []} | of_run
    return make(
        SubjectRecord,
        versions=group().versions,
        settings={"run": run or {}, "model": model or {}},
        model={"automatic": automatic, "name": "stroop", "path": "code/x.json"},
        runs=[about | {"entities": {"sub": label}} for label in ("01", "02")],
        estimates=[{"level": "run", "method": method, "runs": ["a"]}, *estimates],
    )


def combined(method):
    return {"level": "subject", "method": method, "runs": ["a", "b"]}


def shuffled(**options):
    return group(contrast("mean", DRAWN, rule("maxT"), rule("maxMass"), rule("maxTFCE")), permutation=options)


# Sentence -> rows: a record, and words that must be in it; "" where it must say nothing.
SENTENCES = {
    "say_software": [
        (group(), ["TaskGLM 9", "numpy 2 [@harris2020], scipy 1 [@virtanen2020]."]),
        (subject(), ["pybids 0 [@yarkoni2019]"]),
    ],
    "say_smoothing": [
        (subject(run={"smoothing_fwhm": 6.0}), ["kernel of 6 mm"]),
        (subject(run={"smoothing_fwhm": 0}), ["were not smoothed"]),
    ],
    "say_runs": [
        (subject(), ["Each of the 2 runs of 2 subjects (100 volumes, repetition time 2 s)", "linear model."]),
        (subject(method="run GLM of the mean of each region"), ["to the mean series of each region"]),
        (subject(method="run GLM of the first component of each region"), ["first principal component"]),
    ],
    "say_regressors": [
        (subject(model={"hrf_model": "glover", "high_pass": 100}), ["the glover haem", "period of 100 s"]),
        (subject(model={"hrf_model": "spm", "high_pass": 0}), ["[@friston1998]", "drifts were not modelled"]),
        (subject(automatic=False), ["BIDS Stats Model stroop (code/x.json)"]),
    ],
    "say_times": [(subject(start_time=1.0, start_time_source="StartTime"), ["k × TR + 1 s (StartTime)"])],
    "say_confounds": [(subject(), ["1 confound regressors", "trans_x"]), (subject(confounds=[]), ["none"])],
    "say_censoring": [
        (subject(), ""),
        (subject(censored=[3]), ["2 of 200 volumes were censored, each"]),
        (subject(model={"confounds": "motion6+scrub"}), ["0 of 200", "by the strategy motion6+scrub"]),
        (subject(model={"confounds": "motion6+scrub"}, automatic=False), ""),
    ],
    "say_noise": [
        (subject(), ["restricted maximum likelihood"]),
        (subject(noise_model="ar1"), ["as nilearn does [@abraham2014]"]),
        (subject(noise_model="ar3"), ["The noise model was ar3."]),
        (
            subject(noise_model="ar3-reml", noise=NOISE),
            [
                "of order 3 (lags up to 4 s",
                "median 60, most voxels of a run within 50 and 70",
                "[@kenward1997]",
            ],
        ),
        (subject(noise_model="ar3-reml", noise=NOISE | {"requested": "ar3"}), ["of order 3, its"]),
        (subject(noise_model="ols"), ["was not modelled"]),
    ],
    "say_noise_smoothing": [
        (subject(run={"noise_smoothing_fwhm": 8.0}), ["smoothed with 8 mm"]),
        (subject(run={"noise_smoothing_fwhm": 0.0}), ""),
        (subject(run={"noise_smoothing_fwhm": 8.0}, noise_model="ols"), ""),
    ],
    "say_boost": [
        (subject(run={"derivative_boost": True}, model={"hrf_model": "spm + derivative"}), ["boost"]),
        (subject(run={"derivative_boost": True}, model={"hrf_model": "spm"}), ""),
        (subject(run={"derivative_boost": True}, automatic=False), ["boost"]),
        (subject(run={"derivative_boost": False}), ""),
    ],
    "say_scaling": [
        (subject(run={"scaling": "percent"}), ["in percent"]),
        (subject(run={"scaling": "none"}), ["in the units of the images"]),
    ],
    "say_combination": [
        (subject(), ""),
        (subject(estimates=[combined("fixed effects")]), ["(2 runs)", "inverse of its sampling variance"]),
        (subject(estimates=[combined("fixed effects, equal weights")]), ["weighted alike"]),
        (subject(estimates=[combined("passed through")]), ["taken as it is"]),
    ],
    "say_group_model": [
        (
            group(),
            ["A model of 1 subject. The model (effect ~ 1)", "least squares in 100 voxels of 2 × 2 × 3 mm"],
        ),
        (
            group(subjects=[{"label": "sub-9", "used": False}, {"label": "sub-01 b", "used": True}]),
            ["effects of 1 subject."],
        ),
        (
            replace(group(), estimator=f"{REML}, of each group (a); OLS (b)"),
            [f"by {REML} [@patterson1971; @knapp2003], of each group (a); OLS (b)"],
        ),
    ],
    "say_inputs": [
        (group(), ""),
        (group(made_with={"smoothing (mm)": "6"}), ["made with smoothing (mm) 6."]),
    ],
    "say_group_smoothing": [
        (group(group={"group_smoothing_fwhm": 0.0}), ""),
        (
            group(group={"group_smoothing_fwhm": 4.0}),
            ["maps were smoothed with a Gaussian kernel of 4 mm (full"],
        ),
    ],
    "say_fewer_subjects": [
        (group(contrast(), contrast("b")), ""),
        (group(contrast(), contrast("b", n_subjects=5)), ["these contrasts: b 5"]),
    ],
    "say_coverage": [
        (group(), ["of all subjects"]),
        (
            group(contrast("a", DRAWN | {"incomplete_voxels": 3}), group={"min_subjects": "5"}),
            ["that it has, in shuffles too."],
        ),
        (group(contrast("a", None), group={"min_subjects": "5"}), ["at least 5 subjects", "that it has."]),
        (
            group(group={"min_subjects": "0.5"}),
            ["a share of 0.5 of the subjects", "that it has."],
        ),
    ],
    "say_mask": [
        (group(), ""),
        (group(group={"mask": "/somewhere/roi.nii"}), ["to the mask roi.nii."]),
        (group(group={"mask": "grey-matter"}), ["grey matter", "nilearn"]),
    ],
    "say_left_out": [
        (group(), ""),
        (
            group(subjects=[{"label": "sub-9", "used": False, "reason": "asleep"}]),
            ["1 left out: sub-9 (asleep)"],
        ),
    ],
    "say_effect_sizes": [(group(), ""), (group(contrast(maps={"g": "x"})), ["Hedges' g"])],
    "say_conjunctions": [
        (group(), ""),
        (
            group(contrast(), contrast("both", None, test="z", group_contrast="a and b")),
            ["minimum statistic [@nichols2005]: both (a and b)."],
        ),
    ],
    "say_tests": [
        (group(), ["two-sided."]),
        (
            group(contrast("a", DRAWN, rule(tail="negative"))),
            ["Tests were of t, one-sided, negative effects."],
        ),
        (group(contrast(test="F")), ["Tests were of F, upper tail."]),
        (
            group(
                contrast("a", test="F"), contrast("b", DRAWN, rule(tail="positive")), contrast("c", test="F")
            ),
            ["Tests were of F, upper tail (a, c); of t, one-sided, positive effects (b)."],
        ),
    ],
    "say_main_threshold": [
        (group(), ""),
        (
            group(contrast(main_threshold=CHOSEN)),
            ["voxel height, 0.05", "(declared with --main-threshold height)"],
        ),
        (
            group(
                contrast(main_threshold=CHOSEN),
                contrast("few", None, rule(reason="no shuffles"), main_threshold=CHOSEN),
            ),
            [
                "for mean voxel height",
                "for few voxel height, 0.05 [@nichols2002], not computed (no shuffles)",
            ],
        ),
    ],
    "say_thresholds": [
        (group(), ["Thresholds: voxel height, 0.05 [@nichols2002]."]),
        (
            group(
                contrast("a", DRAWN, rule(title="voxel height, upper tail; corrected", alpha=0.1), test="F")
            ),
            ["Thresholds: voxel height; corrected, α = 0.1 [@nichols2002]."],
        ),
        (group(contrast("a", None, rule(reason="no"))), ""),
    ],
    "say_nulls": [
        (group(), ["500 randomly drawn sign flips (seed 3), the"]),
        (group(contrast("a", ALL)), ["all 70 possible permutations, the"]),
        (group(contrast("a", ALL | {"mode": "free"})), ["all 70 possible permutations, the"]),
        (
            group(contrast("a", ALL | {"mode": "within"}), permutation={"exchangeability_blocks": "site"}),
            ["all 70 possible permutations within blocks (site), the"],
        ),
        (
            group(contrast("a", DRAWN | {"mode": "whole"}), permutation={"exchangeability_blocks": "site"}),
            ["500 randomly drawn sign flips of whole blocks (site) (seed 3), the"],
        ),
        (
            group(contrast("a", ALL | {"mode": "within"}), group={"variance_groups": "scanner"}),
            ["possible permutations within variance groups (scanner), the"],
        ),
        (group(contrast("a", ALL | {"mode": "whole"})), ["possible permutations of whole subjects, the"]),
        (group(contrast("a", None)), ""),
    ],
    "say_not_shuffled": [
        (group(), ""),
        (group(contrast(), contrast("few", None)), ["Not shuffled: few."]),
        (group(contrast(), contrast("both", None, test="z")), ""),
    ],
    "say_scores": [
        (group(), ""),
        (group(contrast("a", DRAWN | {"statistic": "t of least squares"})), ["of a was t of least squares."]),
        (group(contrast("a", DRAWN | {"statistic": "t of the subjects' scores"})), ["subjects' scores"]),
    ],
    "say_approximation": [
        (shuffled(tail_approximation="none"), ""),
        (shuffled(tail_approximation="gpd"), ["Pareto"]),
        (shuffled(tail_approximation="gamma"), ["gamma"]),
        (group(contrast("a", None), permutation={"tail_approximation": "gamma"}), ""),
    ],
    "say_stopping": [
        (shuffled(stop_when_decided=True, n_permutations=8000), ["Shuffling stopped"]),
        (shuffled(stop_when_decided=True, n_permutations=500), ""),
        (shuffled(stop_when_decided=False, n_permutations=8000), ""),
    ],
    "say_statistics": [
        (group(), ""),
        (shuffled(), ["statistic above the threshold, of t."]),
        (
            group(
                contrast("a", DRAWN | {"scale": "z"}, rule("maxMass")), permutation={"cluster_mass": "raw"}
            ),
            ["whole statistic, of z."],
        ),
        (
            group(*(contrast(one, DRAWN | {"scale": one}, rule("maxMass")) for one in "tz")),
            ["of t (other statistics as z)."],
        ),
        (shuffled(), ["extent 0.5 and height 2", "exact integral, of t."]),
        (shuffled(tfce_preset="surface", tfce_steps=100), ["extent 1 and height 2", "100 steps"]),
        (group(contrast("a", ALL | {"scale": "z"}, rule("maxTFCE"), test="F")), ["of z."]),
    ],
    "say_family": [
        (group(), ""),
        (group(contrast(), contrast("b")), ["that there are 2 is not corrected for"]),
        (
            group(contrast(), contrast("b"), contrast("c", descriptive=True)),
            ["that there are 2 is not corrected for. Means of groups are descriptive and not counted: c."],
        ),
        (
            group(
                contrast("a", DRAWN | {"family": "2 contrasts, maximum (a, b)"}),
                contrast("b", DRAWN | {"family": "2 contrasts, maximum (a, b)"}),
                contrast("c", descriptive=True),
            ),
            [
                "over 2 contrasts, maximum (a, b).",
                "one contrast each: c. Means of groups are descriptive and not counted: c.",
            ],
        ),
    ],
    "say_clusters": [
        (group(permutation={"connectivity": 6}), ["share a face,", "mm of the space MNI."]),
        (group(permutation={"connectivity": 26}), ["corners"]),
    ],
    "say_labels": [((), ""), ([("AAL", "A (2002)")], ["AAL (A (2002))"])],
}
# What the text says by what the record has of it, or does not speak of: nothing that a reader must know.
NOT_READ = {
    # of the models, whose designs and contrasts are described
    "contrast", "missing_condition", "invalid_contrasts", "group_design", "weights",
    "error_term", "conjunction",
    # by the method, the estimator, the thresholds and the shuffles of the record
    "fixed_effects", "group_estimator", "cluster_forming_p", "statistics", "block_mode", "shuffle_scheme",
    "cluster_scale",
    # by titles of thresholds, atlases, tables and files
    "alpha", "roi", "atlas", "residuals", "resample", "allow_mixed_settings", "select_contrasts",
}  # fmt: skip
PARTS = ("SOFTWARE", "RUN_LEVEL", "COMBINATION", "GROUP_MODEL", "INFERENCE", "TABLES")


def test_every_sentence_has_a_row():
    said = [say.__name__ for part in PARTS for say in getattr(methods, part)]
    assert [*said, "say_labels"] == list(SENTENCES)
    assert {name for name in vars(methods) if name.startswith("say_")} == set(SENTENCES)


def test_every_setting_of_a_result_is_read_or_known_not_to_be():
    trees = [ast.parse(Path(module.__file__).read_text()) for module in (methods, noise_text)]
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    parts = (ModelOptions, RunOptions, GroupOptions, PermutationOptions)
    assert {setting.name for part in parts for setting in fields(part)} - read == NOT_READ


@pytest.mark.parametrize(
    ("name", "record", "words"),
    [(name, record, words) for name, rows in SENTENCES.items() for record, words in rows],
    ids=[f"{name}-{place}" for name, rows in SENTENCES.items() for place in range(len(rows))],
)
def test_a_sentence_says_what_the_record_says(name, record, words):
    text = getattr(methods, name)(record)
    assert bool(text) == bool(words)
    assert [part for part in words if part not in text] == []
