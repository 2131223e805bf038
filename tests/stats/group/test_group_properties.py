"""What no group result may depend on: units, order, names, and how the rows of a contrast are written."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsapp.inference.permutation import permute
from bidsapp.records.maps import Contrast, Geometry, GroupDesign, InferenceOptions
from bidsapp.stats.group.estimators import FITS, FITS_BY_GROUP, fit_group
from bidsapp.stats.group.flip_scores import SCORES, make_flip_scores
from bidsapp.stats.group.repeated_measures import make_scores, orthonormalise_rows

N_VOXELS = 12
GEOMETRY = Geometry(np.ones((3, 2, 2), bool), np.eye(4))
# Iterated estimators stop where a step is small, which rounding moves a little.
ITERATED = 1e-5
SIZES = st.lists(st.integers(4, 7), min_size=2, max_size=3)
SEEDS = st.integers(0, 2**31)
UNITS = st.floats(-9, 9).map(lambda power: 10.0**power)
RATIOS = st.floats(-3, 3).map(lambda power: 10.0**power)
SHIFTS = st.floats(-1e3, 1e3)
FEW = settings(max_examples=6, deadline=None, derandomize=True)
EVERY = [*((name, False) for name in FITS), *((name, True) for name in FITS_BY_GROUP)]


def mixture(n_rows, seed, unit):
    """Return an invertible matrix, the ratio of its singular values ``unit``."""
    rng = np.random.default_rng(seed)
    first, second = (np.linalg.qr(rng.normal(size=(n_rows, n_rows)))[0] for _ in range(2))
    return first @ np.diag(np.geomspace(1.0, unit, n_rows)) @ second


class Study:
    """Groups of subjects with a covariate, and contrasts between, of and over them."""

    def __init__(self, sizes, seed, grouped=False):
        rng = np.random.default_rng(seed)
        self.group = np.repeat(np.arange(len(sizes)), sizes)
        self.covariate = rng.normal(size=len(self.group))
        self.effects = rng.normal(size=(len(self.group), N_VOXELS)) + 0.5 * self.group[:, None]
        self.variances = rng.uniform(0.2, 2, self.effects.shape)
        self.variance_groups = self.group + 1 if grouped else None
        n = len(sizes)
        self.rows = np.column_stack([np.eye(n - 1), -np.ones(n - 1), np.zeros(n - 1)])
        self.slope = np.eye(n + 1)[-1:]

    def matrix(self, covariate=None):
        covariate = self.covariate if covariate is None else covariate
        return np.column_stack([self.group[:, None] == np.arange(self.rows.shape[1] - 1), covariate]).astype(
            float
        )

    def fit(self, matrix, weights, estimator="ols", order=slice(None)):
        """Return the estimate of a contrast of a design, with the subjects in an order."""
        columns = tuple(f"c{index}" for index in range(matrix.shape[1]))
        contrast = Contrast("c", "F" if len(weights) > 1 else "t", columns, weights)
        groups = None if self.variance_groups is None else self.variance_groups[order]
        design = GroupDesign(matrix[order], (contrast,), groups, np.arange(len(matrix)))
        return fit_group(self.effects[order], self.variances[order], design, estimator=estimator)[0]


def assert_same(first, second, rtol=ITERATED):
    for name in ("statistic", "z", "dof", "p"):
        np.testing.assert_allclose(
            getattr(first, name), getattr(second, name), rtol=rtol, atol=1e-8, err_msg=name
        )


@pytest.mark.parametrize(("estimator", "grouped"), EVERY)
@FEW
@given(sizes=SIZES, seed=SEEDS, unit=UNITS, shift=SHIFTS)
def test_unit_and_origin_of_a_covariate_do_not_matter(estimator, grouped, sizes, seed, unit, shift):
    study = Study(sizes, seed, grouped)
    # Groups without a common origin: the shift goes into their means, not into their differences.
    other = study.matrix(unit * (study.covariate + shift))
    for weights in (study.rows[:1], study.rows, study.slope):
        assert_same(study.fit(study.matrix(), weights, estimator), study.fit(other, weights, estimator))


@pytest.mark.parametrize(("estimator", "grouped"), EVERY)
@FEW
@given(sizes=SIZES, seed=SEEDS)
def test_order_of_the_subjects_does_not_matter(estimator, grouped, sizes, seed):
    study = Study(sizes, seed, grouped)
    order = np.random.default_rng(seed).permutation(len(study.group))
    for weights in (study.rows, study.slope):
        first = study.fit(study.matrix(), weights, estimator)
        assert_same(first, study.fit(study.matrix(), weights, estimator, order))


@pytest.mark.parametrize(("estimator", "grouped"), EVERY)
@FEW
@given(sizes=SIZES, seed=SEEDS)
def test_names_of_groups_and_order_of_the_columns_do_not_matter(estimator, grouped, sizes, seed):
    study, other = Study(sizes, seed, grouped), Study(sizes, seed, grouped)
    order = np.random.default_rng(seed).permutation(study.rows.shape[1])
    if grouped:
        other.variance_groups = np.random.default_rng(seed).permutation(len(sizes))[study.group] + 1
    for weights in (study.rows, study.slope):
        first = study.fit(study.matrix(), weights, estimator)
        assert_same(first, other.fit(study.matrix()[:, order], weights[:, order], estimator))


@pytest.mark.parametrize(("estimator", "grouped"), EVERY)
@FEW
@given(sizes=st.lists(st.integers(4, 7), min_size=3, max_size=4), seed=SEEDS, unit=RATIOS)
def test_rows_of_a_contrast_may_be_mixed(estimator, grouped, sizes, seed, unit):
    study = Study(sizes, seed, grouped)
    mix = mixture(len(study.rows), seed, unit)
    first = study.fit(study.matrix(), study.rows, estimator)
    assert_same(first, study.fit(study.matrix(), mix @ study.rows, estimator))


@pytest.mark.parametrize(("estimator", "grouped"), EVERY)
@FEW
@given(sizes=SIZES, seed=SEEDS, unit=st.floats(-6, 6).map(lambda power: 10.0**power))
def test_unit_of_the_data_does_not_matter(estimator, grouped, sizes, seed, unit):
    study, other = Study(sizes, seed, grouped), Study(sizes, seed, grouped)
    other.effects, other.variances = unit * study.effects, unit**2 * study.variances
    for weights in (study.rows, study.slope):
        first = study.fit(study.matrix(), weights, estimator)
        assert_same(first, other.fit(other.matrix(), weights, estimator))


# Permutations between variance groups are asked for; flips of the residuals are the default.
SCHEMES = [(False, "permutation"), (True, "permutation"), (True, "sign-flip")]


def shuffled(study, matrix, weights, order=slice(None), scheme="permutation"):
    """Return the test of every arrangement there is."""
    every = InferenceOptions(n_shuffles=256, alpha=0.2, cluster_forming_p=0.2, scheme=scheme)
    groups = None if study.variance_groups is None else study.variance_groups[order]
    options = replace(every, variance_groups=groups)
    return permute(study.effects[order], matrix[order], weights, GEOMETRY, options)


def assert_same_inference(first, second):
    assert first.exact
    assert second.exact
    np.testing.assert_allclose(first.statistic, second.statistic, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(first.p, second.p, rtol=1e-9)
    for name, found in first.statistics.items():
        other = second.statistics[name]
        np.testing.assert_allclose(found.p_fwe, other.p_fwe, rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(found.cutoff, other.cutoff, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(("grouped", "scheme"), SCHEMES)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_shuffled_p_knows_neither_order_nor_names(grouped, scheme, seed):
    """4 + 4 subjects, a difference of groups, all 70 orders or 256 flips."""
    study, other = Study([4, 4], seed, grouped), Study([4, 4], seed, grouped)
    matrix, weights = study.matrix()[:, :2], study.rows[:1, :2]
    first = shuffled(study, matrix, weights, scheme=scheme)
    order = np.random.default_rng(seed).permutation(8)
    assert_same_inference(first, shuffled(study, matrix, weights, order, scheme))
    if grouped:
        other.variance_groups = 3 - study.variance_groups
    assert_same_inference(first, shuffled(other, matrix[:, ::-1], weights[:, ::-1], scheme=scheme))


@pytest.mark.parametrize(("grouped", "scheme"), SCHEMES)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=SEEDS, unit=RATIOS)
def test_shuffled_p_of_several_rows_knows_no_mixture(grouped, scheme, seed, unit):
    study = Study([2, 3, 3] if scheme == "sign-flip" else [2, 2, 2], seed, grouped)
    matrix, weights = study.matrix()[:, :3], study.rows[:, :3]
    ways = (weights, mixture(2, seed, unit) @ weights)
    assert_same_inference(*(shuffled(study, matrix, way, scheme=scheme) for way in ways))


@pytest.mark.parametrize(("sizes", "grouped"), [([5], False), ([3, 3], True)])
@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=SEEDS, unit=UNITS, shift=SHIFTS)
def test_shuffled_p_knows_no_unit_of_a_covariate(sizes, grouped, seed, unit, shift):
    study = Study(sizes, seed, grouped)
    matrices = [study.matrix(c) for c in (study.covariate, unit * (study.covariate + shift))]
    assert_same_inference(*(shuffled(study, matrix, study.slope) for matrix in matrices))


def flipped(study, estimator, order=slice(None), unit=1.0):
    """Return the test of a mean by all 64 flips of the scores of an estimator."""
    effects, variances = unit * study.effects[order], unit**2 * study.variances[order]
    every = InferenceOptions(n_shuffles=64, alpha=0.2, cluster_forming_p=0.2)
    one = np.ones((len(effects), 1))
    return permute(make_flip_scores(effects, variances, estimator), one, one[:1], GEOMETRY, every)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("estimator", SCORES)
@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=SEEDS, power=st.integers(-20, 20))
def test_flipped_p_knows_neither_order_nor_unit_nor_sign(estimator, missing, seed, power):
    study = Study([6], seed)
    if missing:
        study.effects[1, :5] = study.effects[4, 3:7] = np.nan
    first = flipped(study, estimator)
    order = np.random.default_rng(seed).permutation(6)
    assert_same_inference(first, flipped(study, estimator, order))
    # Scores have single precision: powers of 2 round nothing.
    assert_same_inference(first, flipped(study, estimator, unit=2.0**power))
    opposite = flipped(study, estimator, unit=-1.0)
    assert_same_inference(first, replace(opposite, statistic=-opposite.statistic))


def shuffled_vectors(study, mix, grouped, order=slice(None)):
    """Return the test of conditions x groups by all flips, its rows within subjects mixed by a matrix."""
    rows = orthonormalise_rows(mix @ np.array([[1.0, -1, 0], [0, 1, -1]]))
    cells = np.stack([study.effects, study.variances, np.flip(study.effects, axis=1)])[:, order]
    groups = study.group[order]
    every = InferenceOptions(n_shuffles=256, alpha=0.2, statistics=("height",), scheme="sign-flip")
    options = replace(every, variance_groups=groups if grouped else None)
    matrix = (groups[:, None] == [0, 1]).astype(float)
    scores = make_scores(rows, cells).swapaxes(0, 1)
    return permute(scores, matrix, np.array([[1.0, -1.0]]), GEOMETRY, options)


@pytest.mark.parametrize("grouped", [False, True])
@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=SEEDS, unit=RATIOS)
def test_shuffled_p_of_vectors_knows_neither_order_nor_mixture(grouped, seed, unit):
    study, rng = Study([4, 4], seed), np.random.default_rng(seed)
    first = shuffled_vectors(study, np.eye(2), grouped)
    assert_same_inference(first, shuffled_vectors(study, mixture(2, seed, unit), grouped))
    assert_same_inference(first, shuffled_vectors(study, np.eye(2), grouped, rng.permutation(8)))
