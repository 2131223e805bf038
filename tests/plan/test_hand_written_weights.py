"""Names, order and weights of the contrasts of ten published models, written down by hand."""

import numpy as np
import pytest
import references
from test_published_models import plan_participants, plan_published

T = "trial_type."
RUN_LEVEL = {
    "openneuro_glmfitlins/ds000001-balloonanalogrisktask_specs.json": [
        ("pumpsvcontrol", {f"{T}pumps": 1, f"{T}control": -1}),
        ("explodevcash", {f"{T}explode": 1, f"{T}cash": -1}),
        ("explodevcontrol", {f"{T}explode": 1, f"{T}control": -1}),
        ("pumpscashvcontrol", {f"{T}pumps": 0.5, f"{T}cash": 0.5, f"{T}control": -1}),
        ("pumpsexplodevcontrol", {f"{T}pumps": 0.5, f"{T}explode": 0.5, f"{T}control": -1}),
        ("allpumps", {f"{T}pumps": 0.33, f"{T}cash": 0.33, f"{T}explode": 0.33}),
        ("pumps", {f"{T}pumps": 1}),
        ("pumpspara", {"pumps_demean": 1}),
        ("cashpara", {"cash_demean": 1}),
        ("explodepara", {"explode_demean": 1}),
        ("controlpara", {"control_pumps_demean": 1}),
        ("parapumpsvcontrol", {"pumps_demean": 1, "control_pumps_demean": -1}),
        ("rt", {"rt_reg.rt": 1}),
    ],
    "openneuro_glmfitlins/ds000005-mixedgamblestask_specs.json": [
        ("paragain", {"parametric gain": 1}),
        ("paragainvloss", {"parametric gain": 1, "parametric loss": -1}),
        ("paraloss", {"parametric loss": 1}),
        ("distindiff", {"distance from indifference": 1}),
        ("rt", {"rt_reg.1": 1}),
    ],
    "openneuro_glmfitlins/ds000109-theoryofmindwithmanualresponse_specs.json": [
        ("storybelief", {f"{T}falsebeliefstory": 1}),
        ("storyphoto", {f"{T}falsephotostory": 1}),
        ("questionbeliefvphoto", {f"{T}falsebeliefquestion": 1, f"{T}falsephotoquestion": -1}),
        ("storybeliefvphoto", {f"{T}falsebeliefstory": 1, f"{T}falsephotostory": -1}),
    ],
    "openneuro_glmfitlins/ds001734-MGT_specs.json": [
        ("alltrials", {f"{T}decision": 1}),
        ("gain", {"gain_demean": 1}),
        ("loss", {"loss_demean": 1}),
        ("gainvloss", {"gain_demean": 1, "loss_demean": -1}),
        ("rt", {"rt_reg.rt": 1}),
    ],
    "openneuro_glmfitlins/ds002006-Memory_specs.json": [
        ("rt", {"rt_reg.rt": 1}),
        ("hitvcorrectrejection", {f"{T}hit": 1, f"{T}correctrejection": -1}),
        ("falsealarmvhit", {f"{T}falsealarm": 1, f"{T}hit": -1}),
        ("paramliking", {"liking_demean": 1}),
    ],
    "openneuro_glmfitlins/ds004141-faceexplocalizer_specs.json": [
        (
            "facesvcontrol",
            {
                f"{T}Alternate": 0.3333,
                f"{T}Sad": 0.3333,
                f"{T}Happy": 0.3333,
                f"{T}Neutral": -0.5,
                f"{T}Movement": -0.5,
            },
        )
    ],
    "fitlins/examples__models__ds000003__models__model-001_smdl.json": [
        ("word_gt_pseudo", {f"{T}word": 1, f"{T}pseudoword": -1}),
        ("task_vs_baseline", {f"{T}word": 0.5, f"{T}pseudoword": 0.5}),
        (f"{T}word", {f"{T}word": 1}),
        (f"{T}pseudoword", {f"{T}pseudoword": 1}),
    ],
    "model-zoo/model-zoo__exhibits__spm_tutorials__model-MoAE-desc-fitlins_smdl.json": [
        ("listening", {"listening": 1})
    ],
}


def weights_of(contrast):
    rows = [
        {name: weight for name, weight in zip(contrast.columns, row, strict=True) if weight}
        for row in contrast.weights
    ]
    return rows if contrast.test == "F" else rows[0]


def name_of(path):
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", references.find("models/*/*.json", lambda path: name_of(path) in RUN_LEVEL))
def test_run_contrasts_have_the_weights_and_the_order_of_the_model(path, tmp_path, monkeypatch):
    plan, _ = plan_participants(path, tmp_path, monkeypatch)
    for subject in plan.subjects:
        for fit in subject.runs:
            assert [(c.name, weights_of(c)) for c in fit.contrasts] == RUN_LEVEL[name_of(path)]


def fits_of(plan):
    return [fit for model in plan.models for fit in model.fits]


ZOO = "model-zoo/model-zoo__exhibits__fsl_glm_models__model-ds0005_altered_"
CELLS = [f"fake_patient_grp.{k}:sex.{s}" for k in (1, 2, 3, 4) for s in "MF"]


def cells(values):
    return {name: value for name, value in zip(CELLS, values, strict=True) if value}


def test_anova_of_cell_means_has_its_f_tests(reference, tmp_path, monkeypatch):
    path = reference / "models" / f"{ZOO}anova_2_by_4_cell_means_smdl.json"
    _, plan = plan_published(path, tmp_path, monkeypatch)
    (fit,) = fits_of(plan)
    made = {fit.group_contrasts[contrast.name]: weights_of(contrast) for contrast in fit.contrasts}
    assert made == {
        "main sex effect f-test": [cells([1, -1, 1, -1, 1, -1, 1, -1])],
        "main patient group effect f-test": [
            cells([1, 1, 0, 0, 0, 0, -1, -1]),
            cells([0, 0, 1, 1, 0, 0, -1, -1]),
            cells([0, 0, 0, 0, 1, 1, -1, -1]),
        ],
        "Interaction effect f-test": [
            cells([1, -1, 0, 0, 0, 0, -1, 1]),
            cells([0, 0, 1, -1, 0, 0, -1, 1]),
            cells([0, 0, 0, 0, 1, -1, -1, 1]),
        ],
    }
    assert (fit.design.matrix.sum(axis=1) == 1).all()


def test_slopes_of_two_groups_are_compared(reference, tmp_path, monkeypatch):
    path = reference / "models" / f"{ZOO}two_grp_by_age_interaction_smdl.json"
    _, plan = plan_published(path, tmp_path, monkeypatch)
    (fit,) = fits_of(plan)
    assert [(c.name, weights_of(c)) for c in fit.contrasts] == [
        ("neg_loss_parametric slope_age.M_gt_slope_age.F", {"age.M": 1, "age.F": -1}),
        ("neg_loss_parametric slope_age.F_gt_slope_age.M", {"age.M": -1, "age.F": 1}),
    ]
    matrix = dict(zip(fit.design.columns, fit.design.matrix.T, strict=True))
    np.testing.assert_array_equal(matrix["age.M"] * matrix["sex.F"], 0)
    np.testing.assert_array_equal(matrix["age.M"] + matrix["age.F"] > 0, True)


def test_covariate_is_demeaned_and_the_mean_has_the_name_given(reference, tmp_path, monkeypatch):
    path = reference / "models" / f"{ZOO}single_grp_avg_w_covar_smdl.json"
    _, plan = plan_published(path, tmp_path, monkeypatch)
    (fit,) = fits_of(plan)
    assert [(c.name, weights_of(c)) for c in fit.contrasts] == [
        ("neg_loss_parametric pos_age_effect", {"age_dm": 1}),
        ("neg_loss_parametric neg_age_effect", {"age_dm": -1}),
        ("neg_loss_parametric mean_gt_0", {"intercept": 1}),
        ("neg_loss_parametric mean_lt_0", {"intercept": -1}),
    ]
    assert abs(fit.design.matrix[:, fit.design.columns.index("age_dm")].mean()) < 1e-12


def test_runs_are_compared_within_subjects(reference, tmp_path, monkeypatch):
    path = reference / "models" / f"{ZOO}paired_difference_smdl.json"
    plan, group = plan_published(path, tmp_path, monkeypatch)
    (fit,) = plan.subjects[0].combinations
    assert fit.design.matrix.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert weights_of(fit.contrasts[0]) == {"runs1_2": -1, "run3": 1}
    (group_fit,) = fits_of(group)
    assert group_fit.contrast == "neg_loss_parametric run3 minus mean(run1_run2)"
