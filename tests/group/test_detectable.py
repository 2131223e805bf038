"""The smallest effect that a contrast could have found, and the weights of the participants' contrast."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from bidsapp.group.detectable import make_detectable
from bidsapp.group.write import input_weights
from bidsapp.inference.thresholds import THRESHOLDS
from bidsapp.records.maps import Evidence, Geometry, GroupEstimate
from bidsapp.stats.distributions import t_to_z, z_to_log_p

N, DOF = 60, 9.0


@pytest.fixture
def estimate():
    rng = np.random.default_rng(0)
    variance, t = rng.uniform(0.5, 2, N), rng.standard_t(DOF, N)
    t[3] = np.nan
    z = t_to_z(t, DOF)
    p = np.exp(z_to_log_p(z))
    return GroupEstimate("k", "t", t * np.sqrt(variance), variance, t, z, p, np.full(N, DOF), 1)


def find(estimate, name="bonferroni", alpha=0.05):
    geometry = Geometry(np.ones((N, 1, 1), bool), np.eye(4))
    log_p = z_to_log_p(estimate.z)
    evidence = Evidence("t", estimate.statistic, estimate.z, log_p, (1.0, DOF), "two", geometry)
    return make_detectable(estimate, evidence, THRESHOLDS[name](evidence, alpha), alpha)


def test_it_is_found_with_the_power_that_the_record_says(estimate):
    found = find(estimate)
    record = found.describe()
    cutoff = stats.t.isf(0.05 / (N - 1) / 2, DOF)
    noncentrality = found.values / np.sqrt(estimate.variance)
    known = np.isfinite(found.values)
    assert np.flatnonzero(~known).tolist() == [3]
    assert stats.nct.sf(cutoff, DOF, noncentrality[known]) == pytest.approx(record.power, abs=1e-6)
    assert record.power == 0.8


def test_the_record_has_the_sizes_that_are_found_in_shares_of_the_voxels(estimate):
    found = find(estimate)
    record, known = found.describe(), found.values[np.isfinite(found.values)]
    for size, share in ((record.quarter, 0.25), (record.half, 0.5), (record.three_quarters, 0.75)):
        assert np.mean(known <= size) == pytest.approx(share, abs=1 / N)
    assert (record.t, record.height) == (None, "Bonferroni, family-wise error 0.05")
    assert record.p == pytest.approx(0.05 / (N - 1) / 2)
    assert found.fields["HeightThresholdP"] == record.p


def test_tests_without_an_effect_have_none(estimate):
    joint = SimpleNamespace(test="F", variance=None)
    assert make_detectable(joint, None, None, 0.05) is None
    unknown = GroupEstimate(
        **{name: getattr(estimate, name) for name in estimate.__slots__} | {"variance": np.full(N, np.nan)}
    )
    assert find(unknown).describe() is None


def fit_of(*said, contrast="k", within=None):
    inputs = [SimpleNamespace(metadata=one) for one in said]
    return SimpleNamespace(contrast=contrast, within=within, inputs=inputs)


def test_weights_of_the_participants_are_those_that_all_sidecars_say():
    one = {"ConditionList": ["trial_type.face", "house", "rest"], "Weights": [1.0, -1, 0]}
    assert input_weights(fit_of(one, dict(one))) == {"face": 1.0, "house": -1.0}
    assert input_weights(fit_of(one, one | {"Weights": [1.0, -0.5, 0]})) is None
    assert input_weights(fit_of(one, {})) is None
    assert input_weights(fit_of({}, {})) is None
    assert (
        input_weights(fit_of(one | {"Weights": [[1, 0, 0], [0, 1, 0]], "ConditionList": ["a", "b"]})) is None
    )
    assert input_weights(fit_of(one, contrast=None)) is None
    assert input_weights(fit_of(one, within=SimpleNamespace())) is None
    assert input_weights(fit_of()) is None
