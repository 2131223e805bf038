"""Whether maps were made alike, by what their sidecars say."""

from pathlib import Path

from bidsapp.inputs.estimates import EstimateFile
from bidsapp.plan.mixtures import describe_facts, find_mixtures, shared_facts
from bidsapp.records.maps import EstimateKey


def of_run(subject, fitted, asked):
    key = EstimateKey("run", "run", "a", (("sub", subject), ("run", "1")))
    return EstimateFile(
        key, Path(), None, 50.0, metadata={"NoiseModel": fitted, "NoiseModelRequested": asked}
    )


def test_orders_that_auto_chose_for_runs_are_no_other_setting():
    made = [of_run("01", "ar4-reml", "auto"), of_run("02", "ar3-reml", "auto")]
    assert find_mixtures(made) == []
    assert shared_facts(made) == {"NoiseModel": "auto"}
    assert describe_facts(made) == {"noise model": "auto"}


def test_noise_models_that_were_asked_for_are():
    made = [of_run("01", "ar4-reml", "auto"), of_run("02", "ar4-reml", "ar4")]
    assert find_mixtures(made) == ["noise model auto in 1 participants, ar4 in sub-02"]
