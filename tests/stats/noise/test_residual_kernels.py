"""Sums of the residuals of voxels, each loop against numpy."""

import numpy as np

from bidsapp.stats.noise import residual_kernels
from bidsapp.stats.noise.lagged_design import make_lagged_design, weigh_precision
from bidsapp.stats.noise.time_model import make_time_model


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


def test_lags_and_corners_of_many_filters_are_those_of_one(rng):
    filters = np.column_stack([np.ones(5), 0.3 * rng.normal(size=(5, 3))]).T
    ends = rng.normal(size=(6, 5))
    lags, weighted = residual_kernels.find_lags(filters), residual_kernels.weigh_ends(filters, ends)
    for voxel, filter_ in enumerate(filters.T):
        expected, corner = weigh_precision(filter_)
        np.testing.assert_allclose(lags[:, voxel], expected, rtol=1e-12)
        moved = np.concatenate([corner @ part for part in np.split(ends[:, voxel], 2)])
        np.testing.assert_allclose(weighted[:, voxel], moved, rtol=1e-10)


def test_steps_from_the_centre_end_at_the_solution_of_each_voxel(rng):
    """As near as single precision has it, where there are as many steps as regressors."""
    basis = np.linalg.qr(rng.normal(size=(40, residual_kernels.STEPS)))[0]
    design = make_lagged_design(make_time_model(basis), 2)
    centre, others = np.r_[1.0, -0.5, -0.1], np.column_stack([np.ones(6), 0.3 * rng.normal(size=(6, 2))])
    gram = lambda filter_: design.combine(*weigh_precision(filter_))  # noqa: E731
    rank = design.basis.shape[1]
    inner = design.inner[1:].transpose(1, 0, 2).reshape(rank, -1).astype(np.float32)
    lags = weigh_precision(centre)[0]
    ends = np.ascontiguousarray(design.ends.reshape(-1, rank))
    process = residual_kernels.Precise(centre, lags, ends, inner, np.linalg.inv(gram(centre)))
    cross = rng.normal(size=(6, rank))
    centres = np.ascontiguousarray(np.tile(centre[:, None], 6))
    found = residual_kernels.solve_near(cross, centres, np.ascontiguousarray(others.T), process)
    for voxel, filter_ in enumerate(others):
        np.testing.assert_allclose(found[voxel], np.linalg.solve(gram(filter_), cross[voxel]), rtol=1e-4)
