import json
from pathlib import Path

import pytest

from bidsapp.errors import ModelError, SettingsError
from bidsapp.plan import make_participant_plan
from bidsapp.plan.explain import explain_model
from bidsapp.settings.parts import ModelOptions, Selection, Settings


def settings_for(bids, *, model="auto", selection=None, **options):
    return Settings(
        Path(bids),
        Path("out"),
        ("participant",),
        selection=selection or Selection(),
        model=ModelOptions(model=str(model), **options),
    )


@pytest.fixture(scope="module")
def plan(objects):
    options = {"contrast": ("houseGtFace=house - face",)}
    return make_participant_plan(settings_for(objects, **options))


def test_automatic_model_has_a_regressor_for_each_trial_type(plan):
    (subject,) = plan.subjects
    conditions = [name for name in subject.runs[0].design.columns if name.startswith("trial_type.")]
    assert len(subject.runs) == 12
    assert conditions == [
        f"trial_type.{name}"
        for name in ("bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe")
    ]


def test_asked_contrast_has_its_weights(plan):
    fit = plan.subjects[0].runs[0]
    (contrast,) = (c for c in fit.contrasts if c.name == "houseGtFace")
    weights = {n: w for n, w in zip(contrast.columns, contrast.weights[0], strict=True) if w}
    assert weights == {"trial_type.house": 1.0, "trial_type.face": -1.0}


def test_subject_node_combines_all_runs_and_joins_the_f_test(plan):
    combined = {fit.contrast: fit for fit in plan.subjects[0].combinations}
    assert len(combined["houseGtFace"].inputs) == 12
    assert combined["effectsOfInterest"].contrasts[0].test == "F"
    assert combined["houseGtFace"].entities == {
        "sub": "01",
        "task": "objectviewing",
        "space": "MNI152NLin2009cAsym",
    }


def test_inputs_of_combinations_are_made_by_the_runs(plan):
    (subject,) = plan.subjects
    made = {
        (fit.node, contrast.name, tuple(fit.entities.items()))
        for fit in subject.runs
        for contrast in fit.contrasts
    }
    wanted = {(key.node, key.contrast, key.entities) for fit in subject.combinations for key in fit.inputs}
    assert wanted <= made


def test_model_text_of_an_automatic_model_gives_the_same_plan(plan, objects, tmp_path):
    path = tmp_path / "m_smdl.json"
    path.write_text(plan.model.text)
    again = make_participant_plan(settings_for(objects, model=path))
    first, second = (plan.subjects[0].runs[3] for plan in (plan, again))
    assert first.design.columns == second.design.columns
    assert (first.design.matrix == second.design.matrix).all()
    assert [c.name for c in first.contrasts] == [c.name for c in second.contrasts]


def test_asked_contrast_over_an_unknown_condition_offers_what_there_is(objects):
    settings = settings_for(objects, contrast=("a=house - fce",))
    with pytest.raises(SettingsError, match="no condition 'fce'"):
        make_participant_plan(settings)


def test_condition_that_no_run_has_is_refused_with_the_near_match(plan, objects, tmp_path):
    document = json.loads(plan.model.text)
    run = document["Nodes"][0]
    run["Model"]["X"] = ["trial_type.*", 1]
    run["Contrasts"] = [{"Name": "x", "ConditionList": ["trial_type.hose"], "Weights": [1], "Test": "t"}]
    path = tmp_path / "m_smdl.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match=r"no run has 'trial_type\.hose'\. Did you mean 'trial_type\.house'"):
        make_participant_plan(settings_for(objects, model=path))


def test_page_beside_the_model_says_every_contrast_in_words(plan):
    assert "- t test `houseGtFace`: +1 `trial_type.house` -1 `trial_type.face`." in explain_model(plan.model)
    assert "High-pass filter at 0.007812 Hz (a period of 128 s)" in explain_model(plan.model)
