"""The height that one voxel needs for a threshold."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from bidsapp.inference.heights import find_height_of
from bidsapp.inference.thresholds import THRESHOLDS
from bidsapp.inference.thresholds.random_field import random_field_peak
from bidsapp.records.maps import SCORE_T, Evidence, Geometry, Smoothness
from bidsapp.stats.distributions import t_to_z, z_to_log_p

N, DOF = 600, 11.0
DOFS = np.array([DOF, DOF])


def make_evidence(t, *, tail="two", dof=DOF, **more):
    z = t_to_z(t, dof)
    geometry = Geometry(np.ones((len(t), 1, 1), bool), np.eye(4))
    return Evidence("t", t, z, z_to_log_p(z, tail=tail), (1.0, dof), tail, geometry, **more)


def height(evidence, name, alpha=0.05):
    main = THRESHOLDS[name](evidence, alpha)
    return find_height_of(main, evidence, alpha)


@pytest.fixture
def noise():
    return np.random.default_rng(0).standard_t(DOF, N)


@pytest.mark.parametrize(("tail", "sides"), [("two", 2), ("positive", 1)])
@pytest.mark.parametrize("name", ["bonferroni", "holm", "ari", "fdrBH"])
def test_where_nothing_survives_a_voxel_alone_needs_bonferroni(noise, name, tail, sides):
    found = height(make_evidence(noise * 0.5, tail=tail), name)
    assert found.at(DOFS) == pytest.approx(stats.t.isf(0.05 / N / sides, DOFS))
    assert found.words == "Bonferroni, family-wise error 0.05"


def test_it_is_the_height_at_which_bonferroni_lets_a_voxel_survive(noise):
    evidence = make_evidence(noise)
    cutoff = height(evidence, "bonferroni").at(DOFS)[0]
    for factor, survives in ((1.0001, True), (0.9999, False)):
        raised = make_evidence(np.append(noise[1:], cutoff * factor))
        assert THRESHOLDS["bonferroni"](raised, 0.05).surviving[-1] == survives


def test_a_rate_of_false_discoveries_cuts_where_it_does(noise):
    evidence = make_evidence(np.append(noise[:-50], np.linspace(5, 9, 50)))
    threshold = THRESHOLDS["fdrBH"](evidence, 0.05)
    found = find_height_of(threshold, evidence, 0.05)
    assert found.at(DOFS) == pytest.approx(threshold.cutoff)
    assert "cuts here" in found.words


def test_without_correction_it_is_the_cluster_forming_p(noise):
    found = height(make_evidence(noise), "uncorrected")
    assert found.p == 0.001
    assert found.words == "uncorrected p ≤ 0.001"


def test_of_random_fields_it_is_the_height_with_a_corrected_p_of_alpha():
    smoothness = Smoothness(np.full(3, 4.0), np.array([1.0, 12.0, 40.0, 60.0]), N)
    for name in ("rftPeak", "rftSize"):
        found = height(make_evidence(np.zeros(N), smoothness=smoothness), name)
        at = make_evidence(np.append(np.zeros(N - 1), found.t), smoothness=smoothness)
        assert random_field_peak(at, 0.05).adjusted[-1] == pytest.approx(0.05, rel=1e-6)
    no_dof = replace(at, dof=(1.0, np.nan))
    assert 0 < height(no_dof, "rftPeak").p < 1e-4


def test_where_random_fields_know_no_height_it_is_bonferroni():
    smoothness = Smoothness(np.full(3, 4.0), np.array([1.0, 12.0, 40.0, 60.0]), N)
    evidence = make_evidence(np.zeros(N), dof=3.0, smoothness=smoothness)
    assert height(evidence, "rftPeak").words.startswith("Bonferroni")


def shuffled(*, statistic="t", test="t", cutoff=5.25, name="height"):
    found = SimpleNamespace(cutoff=cutoff)
    return SimpleNamespace(statistics={name: found}, conventions={"Statistic": statistic}, test=test)


@pytest.mark.parametrize("name", ["maxT", "maxTFCE", "maxSize", "maxMass", "fdrPermutation"])
def test_by_shuffling_it_is_the_height_of_the_shuffles(noise, name):
    evidence = make_evidence(noise)
    main = THRESHOLDS[name](evidence, 0.05)
    found = find_height_of(main, replace(evidence, inference=shuffled()), 0.05)
    assert found.at(DOFS) == pytest.approx([5.25, 5.25])
    assert found.words == "voxel height, family-wise error 0.05 by shuffling"


def test_heights_that_were_followed_as_z_are_those_of_the_same_p(noise):
    inference = shuffled(statistic="t with variances by group, followed as z", test="v", cutoff=4.0)
    evidence = make_evidence(noise)
    main = THRESHOLDS["maxTFCE"](evidence, 0.05)
    found = find_height_of(main, replace(evidence, inference=inference), 0.05)
    assert found.at(DOFS) == pytest.approx(stats.t.isf(stats.norm.sf(4.0), DOFS))


@pytest.mark.parametrize(
    "inference", [shuffled(statistic=SCORE_T), shuffled(cutoff=np.nan), shuffled(name="tfce"), None]
)
def test_shuffles_without_a_height_of_t_leave_that_of_bonferroni(noise, inference):
    evidence = make_evidence(noise)
    main = THRESHOLDS["maxTFCE"](evidence, 0.05)
    found = find_height_of(main, replace(evidence, inference=inference), 0.05)
    assert found.words.startswith("Bonferroni")
