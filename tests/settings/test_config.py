"""Settings that files hold."""

import json
from dataclasses import replace
from pathlib import Path

from bidsapp.job.resume import describe_settings
from bidsapp.settings.config import read_saved
from bidsapp.settings.parts import Choices, Control, GroupOptions, RunOptions, Selection, Settings


def test_settings_of_a_record_are_those_it_was_made_with():
    made = Settings(
        Path("data"),
        Path("out"),
        ("participant",),
        selection=Selection(participant_label=("01",), bids_filter_file=Path("filters.json")),
        run=RunOptions(smoothing_fwhm=4.5, residuals=True),
        control=Control(dry_run="json"),
    )
    saved = describe_settings(made)
    read = read_saved(json.loads(json.dumps(saved, default=str)))
    assert list(saved) == ["selection", "model", "run", "control"]
    assert {name: getattr(read, name) for name in saved} == {name: getattr(made, name) for name in saved}


def test_a_record_keeps_what_its_stage_goes_by():
    saved = describe_settings(Settings(Path("data"), Path("out"), ("group",)), "group")
    assert list(saved) == ["selection", "model", "group", "permutation", "control"]
    assert list(saved["model"]) == ["model", "missing_condition", "invalid_contrasts"]


def test_an_older_record_has_defaults_for_what_it_lacks_and_may_hold_what_is_gone():
    read = read_saved({"group": {"tail": "positive", "gone": 1}, "former": {"x": 2}})
    assert read == replace(Choices(), group=GroupOptions(tail="positive"))
