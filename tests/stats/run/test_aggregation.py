import numpy as np
import pytest

from bidsapp.stats.run.aggregation import aggregate_series, first_component

LABELS = np.array([3.0, 1, 3, 1, 1, 7])


@pytest.fixture
def series(rng):
    return (100 + rng.normal(size=(40, 6))).astype(np.float32)


def blocks_of(series):
    return (series[start : start + 7] for start in range(0, len(series), 7))


@pytest.mark.parametrize("method", ["mean", "pca"])
def test_every_voxel_has_the_series_of_its_region(series, method):
    made = np.concatenate(list(aggregate_series(blocks_of(series), LABELS, method)))
    assert made.shape == series.shape
    for label in np.unique(LABELS):
        assert np.ptp(made[:, label == LABELS], axis=1).max() == 0


def test_mean_is_that_of_the_voxels(series):
    made = np.concatenate(list(aggregate_series(blocks_of(series), LABELS, "mean")))
    np.testing.assert_allclose(made[:, 1], series[:, [1, 3, 4]].mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(made[:, 5], series[:, 5])


def test_component_is_that_of_the_singular_values(series):
    made = first_component(series)
    deviations = series.astype(float) - series.mean(axis=0, dtype=float)
    left = np.linalg.svd(deviations)[0][:, 0]
    assert abs(np.corrcoef(made, left)[0, 1]) > 1 - 1e-12
    assert abs(made.mean() - series.mean(dtype=float)) < 1e-9


def test_component_of_voxels_that_share_a_signal_is_the_signal(rng):
    signal = rng.normal(size=50)
    series = 500 + signal[:, np.newaxis] * np.array([1.0, 1.0, 1.0])
    np.testing.assert_allclose(first_component(series), 500 + signal, rtol=1e-12)


def test_component_of_constant_voxels_is_constant():
    assert (first_component(np.full((5, 3), 2.0)) == 2.0).all()


def test_block_that_is_used_again_is_not_kept(series):
    store = np.empty_like(series[:20])

    def reused():
        for start in (0, 20):
            store[:] = series[start : start + 20]
            yield store

    made = np.concatenate(list(aggregate_series(reused(), LABELS, "pca")))
    expected = np.concatenate(list(aggregate_series(iter([series]), LABELS, "pca")))
    np.testing.assert_allclose(made, expected, rtol=1e-6)
