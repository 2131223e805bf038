import numpy as np
import pytest
import statsmodels.api as sm

from bidsapp.stats import blocks
from bidsapp.stats.group.influence import Influence, flag_outliers, measure_influence


@pytest.fixture
def effects(rng):
    return rng.normal(size=(14, 60)) + 2 * rng.normal(size=60)


@pytest.fixture
def matrix(rng):
    return np.column_stack([np.ones(14), rng.normal(size=14)])


def test_measures_equal_statsmodels(effects, matrix):
    found = measure_influence(effects, matrix)
    peers = [sm.OLS(effects[:, voxel], matrix).fit().get_influence() for voxel in range(60)]
    cook = np.mean([peer.cooks_distance[0] for peer in peers], axis=0)
    deleted = np.array([peer.resid_studentized_external for peer in peers])
    np.testing.assert_allclose(found.leverage, peers[0].hat_matrix_diag, rtol=1e-10)
    np.testing.assert_allclose(found.cooks_distance, cook, rtol=1e-10)
    np.testing.assert_allclose(found.residual_rms, np.sqrt((deleted**2).mean(axis=0)), rtol=1e-10)
    np.testing.assert_allclose(found.residual_large, (np.abs(deleted) > 3.29).mean(axis=0), rtol=1e-10)


def test_correlation_is_with_the_mean_of_the_others(effects):
    found = measure_influence(effects, np.ones((14, 1)))
    others = [np.delete(effects, row, axis=0).mean(axis=0) for row in range(14)]
    expected = [np.corrcoef(row, other)[0, 1] for row, other in zip(effects, others, strict=True)]
    np.testing.assert_allclose(found.correlation, expected, rtol=1e-10)


def test_blocks_change_nothing(effects, matrix, monkeypatch):
    whole = measure_influence(effects, matrix)
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 14 * 14)
    in_blocks = measure_influence(effects, matrix)
    np.testing.assert_allclose(in_blocks.correlation, whole.correlation, rtol=1e-9)
    np.testing.assert_allclose(in_blocks.cooks_distance, whole.cooks_distance, rtol=1e-9)


def test_voxels_with_missing_inputs_are_left_out(effects, matrix):
    complete = measure_influence(effects[:, 10:], matrix)
    effects[3, :10] = np.nan
    np.testing.assert_allclose(
        measure_influence(effects, matrix).cooks_distance, complete.cooks_distance, rtol=1e-10
    )


def test_input_alone_in_its_group_has_no_measures(effects):
    matrix = np.column_stack([np.ones(14), np.eye(14)[0]])
    found = measure_influence(effects, matrix)
    assert found.leverage[0] == pytest.approx(1.0)
    assert np.isnan([found.cooks_distance[0], found.residual_rms[0], found.correlation[0]]).all()
    assert np.isfinite(found.cooks_distance[1:]).all()


def test_flipped_input_is_flagged_and_nobody_else(effects):
    effects[5] *= -3
    flags = flag_outliers(measure_influence(effects, np.ones((14, 1))))
    assert "unlike the others" in flags[5]
    assert not any(words for row, words in enumerate(flags) if row != 5)


def test_nobody_is_flagged_in_ordinary_data(effects):
    assert not any(flag_outliers(measure_influence(effects, np.ones((14, 1)))))


def test_values_that_no_input_has_flag_nobody():
    nothing = np.full(3, np.nan)
    few = Influence(np.ones(3), np.full(3, np.inf), nothing, nothing, nothing)
    assert flag_outliers(few) == ["", "", ""]


@pytest.mark.parametrize("seed", range(5))
def test_leverage_alone_and_maps_without_a_common_pattern_are_not_influence(seed):
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([np.ones(20), np.append(rng.normal(size=19), 3.0)])
    null = rng.normal(size=(20, 500))
    assert not any(flag_outliers(measure_influence(null, matrix)))
    null[19] *= 3
    assert "Cook's distance is high" in flag_outliers(measure_influence(null, matrix))[19]


SPREAD = np.array([-0.1, -0.05, 0.0, 0.05, 0.1] * 2)


def flags_of_the_last(*, cook=0.1, rms=1.0, correlation=0.8, leverage=1 / 11, usual=0.8, wide=1.0):
    """Return the flags of the last of 11 inputs; the others have ordinary values, of a scaled MAD of .074."""
    made = Influence(
        np.append(np.full(10, (1 - leverage) / 10), leverage),
        np.append(0.1 * np.exp(SPREAD), cook),
        np.append(1.0 + wide * SPREAD, rms),
        np.zeros(11),
        np.append(usual + SPREAD, correlation),
    )
    *others, last = flag_outliers(made)
    assert not any(others)
    return last


@pytest.mark.parametrize(
    ("ordinary", "unusual", "words"),
    [
        # Above 4 / 11, and above twice the leverage over what is left of it, here 2.
        ({"cook": 0.36}, {"cook": 0.37}, "Cook's distance is high"),
        ({"cook": 1.99, "leverage": 0.5}, {"cook": 2.01, "leverage": 0.5}, "Cook's distance is high"),
        # Above 1.5, and 3.5 scaled deviations (.778 of a spread three times as large) from the median.
        ({"rms": 1.49}, {"rms": 1.51}, "residuals are large"),
        ({"rms": 1.77, "wide": 3.0}, {"rms": 1.79, "wide": 3.0}, "residuals are large"),
        # Below half of the others', .2594 below them, where these are above .2.
        ({"correlation": 0.41}, {"correlation": 0.39}, "unlike the others"),
        ({"correlation": 0.05, "usual": 0.3}, {"correlation": 0.03, "usual": 0.3}, "unlike the others"),
        ({"correlation": -0.9, "usual": 0.19}, {"correlation": -0.9, "usual": 0.21}, "unlike the others"),
    ],
    ids=str,
)
def test_what_is_flagged_is_far_from_the_others_and_large_in_itself(ordinary, unusual, words):
    assert flags_of_the_last(**ordinary) == ""
    assert flags_of_the_last(**unusual) == words


def test_all_that_is_unusual_is_said():
    found = flags_of_the_last(cook=5.0, rms=4.0, correlation=-0.5)
    assert found == "Cook's distance is high; residuals are large; unlike the others"
