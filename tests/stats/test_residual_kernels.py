"""Sums of the residuals of voxels, each loop against numpy."""

import numpy as np

from bidsapp.stats import residual_kernels


def test_forms_are_those_of_the_filtered_products(rng):
    """q = f'Bf, and its slope by the coefficients at f = (1, -a)."""
    root = rng.normal(size=(3, 6, 4))
    forms = np.einsum("vij,vik->vjk", root, root)
    before, filter_ = forms.copy(), np.r_[1.0, rng.normal(size=3)]
    residual_kernels.centre_forms(forms, filter_)
    np.testing.assert_allclose(forms[:, 0, 0], np.einsum("i,vij,j->v", filter_, before, filter_), rtol=1e-10)
    np.testing.assert_allclose(
        forms[:, 0, 1:], -2.0 * np.einsum("vij,j->vi", before, filter_)[:, 1:], rtol=1e-8
    )
    np.testing.assert_array_equal(forms[:, 1:, 1:], before[:, 1:, 1:])


def test_products_of_the_fit_are_taken_from_the_forms(rng):
    along = rng.normal(size=(3, 2, 5)).astype(np.float32)
    forms = np.zeros((3, 3, 3))
    residual_kernels.take_cross(along, forms)
    np.testing.assert_allclose(forms[:, 1:, 1:], -np.einsum("vik,vjk->vij", along, along), rtol=1e-5)
    assert not forms[:, 0].any()
    assert not forms[:, :, 0].any()


def test_lags_are_mixed_by_their_weights(rng):
    departures, lags = rng.normal(size=(4, 3, 5)).astype(np.float32), rng.normal(size=4)
    cross = np.empty((4, 5), np.float32)
    residual_kernels.weigh_lags(departures[::-1].copy(), np.arange(4)[::-1], lags, cross)
    np.testing.assert_allclose(cross, np.einsum("k,vkj->vj", lags[1:], departures), rtol=1e-4, atol=1e-5)

    solution, slopes = rng.normal(size=(4, 5)).astype(np.float32), rng.normal(size=(3, 4))
    along = rng.normal(size=(4, 3, 5)).astype(np.float32)
    before = along.copy()
    residual_kernels.mix_lags(departures, solution, slopes, along)
    lagged = np.concatenate([-solution[:, None], departures], axis=1)
    expected = np.einsum("ik,vkj->vij", slopes, lagged) - before
    np.testing.assert_allclose(along, expected, rtol=1e-4, atol=1e-5)


def test_what_a_fit_takes_from_the_products(rng):
    departures = rng.normal(size=(4, 3, 5)).astype(np.float32)
    fitted = rng.normal(size=(4, 3, 5)).astype(np.float32)
    solution = rng.normal(size=(4, 5)).astype(np.float32)
    rest = departures - fitted
    expected = -np.einsum("vkj,vj->vk", departures + rest, solution)
    change = residual_kernels.leave_fit(departures[::-1].copy(), np.arange(4)[::-1], fitted, solution)
    np.testing.assert_allclose(change[:, 0], np.square(solution).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(change[:, 1:], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted, rest, rtol=1e-6)
