"""Sums of the residuals of voxels, each loop against numpy."""

import numpy as np

from bidsapp.stats.noise import residual_kernels
from bidsapp.stats.noise.lagged_design import make_form, make_lagged_design, weigh_precision
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


def make_sums(rng, order=3, rank=5, n_ends=6):
    """Return a Room with sums of as many voxels as a chunk has."""
    departures, ends = np.empty((1, order, rank)), np.empty((1, n_ends))
    room = residual_kernels.make_room(residual_kernels.Chosen(None, departures, ends, None))
    for values in room:
        values[:] = rng.normal(size=values.shape)
    return room


def test_sums_of_chosen_voxels_are_taken(rng):
    products, ends = rng.normal(size=(9, 4)), rng.normal(size=(9, 6)).astype(np.float32)
    departures = rng.normal(size=(9, 3, 5)).astype(np.float32)
    room, voxels = make_sums(rng), np.array([7, 2, 5])
    chosen = residual_kernels.Chosen(products, departures, ends, voxels)
    residual_kernels.take_voxels(chosen, 1, room)
    taken = np.r_[2, np.repeat(5, residual_kernels.CHUNK - 1)]
    np.testing.assert_array_equal(room.products, products[taken].T)
    np.testing.assert_array_equal(room.lagged, departures.reshape(9, -1)[taken].T)
    np.testing.assert_array_equal(room.ends, ends[taken].T)


def test_products_of_the_fit_are_taken_from_the_forms(rng):
    room, forms = make_sums(rng), np.zeros((7, 4, 4))
    residual_kernels.take_cross(room, forms)
    white = room.matrices[residual_kernels.WHITE].reshape(3, 5, -1)[..., :7]
    np.testing.assert_allclose(
        forms[:, 1:, 1:], -np.einsum("ikv,jkv->vij", white, white), rtol=1e-5, atol=1e-5
    )
    assert not forms[:, 0].any()
    assert not forms[:, :, 0].any()


def test_forms_are_those_of_lagged_design(rng):
    room, forms = make_sums(rng), np.empty((7, 4, 4))
    residual_kernels.make_forms(room, forms)
    ends = room.ends.reshape(2, 3, -1)[..., :7].astype(float)
    expected = make_form(room.products.T[:7], np.einsum("eiv,ejv->vij", ends, ends))
    np.testing.assert_allclose(forms, expected, rtol=1e-5, atol=1e-5)


def test_slopes_are_mixed_by_the_weights_of_the_lags(rng):
    room, weights = make_sums(rng), rng.normal(size=(3, 4)).astype(np.float32)
    lagged = np.concatenate([-room.vectors[residual_kernels.SOLUTION, None], room.lagged.reshape(3, 5, -1)])
    expected = np.einsum("ik,kjv->ijv", weights, lagged) - room.matrices[residual_kernels.SLOPES].reshape(
        3, 5, -1
    )
    residual_kernels.mix_lags(room, weights)
    np.testing.assert_allclose(
        room.matrices[residual_kernels.SLOPES].reshape(3, 5, -1), expected, rtol=1e-4, atol=1e-5
    )


def test_what_a_fit_takes_from_the_sums(rng):
    room = make_sums(rng)
    before = [values.copy() for values in room[:3]]
    residual_kernels.leave_fit(room)
    lagged, moved = before[1], room.moved[: len(before[1])]
    np.testing.assert_allclose(room.lagged, lagged - moved, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(room.ends, before[2] - room.moved[len(moved) : -6], rtol=1e-5, atol=1e-6)
    taken = np.einsum(
        "kjv,jv->kv", (2 * lagged - moved).reshape(3, 5, -1), room.vectors[residual_kernels.SOLUTION]
    )
    expected = before[0] + np.concatenate(
        [np.square(room.vectors[residual_kernels.SOLUTION]).sum(axis=0)[None], -taken]
    )
    np.testing.assert_allclose(room.products, expected, rtol=1e-4, atol=1e-5)


def test_residuals_are_weighed_by_the_precision_of_each_voxel(rng):
    room, ends = make_sums(rng), rng.normal(size=(5, 6)).astype(np.float32)
    filters, lags = room.filters[1], room.lags[1]
    filters[0] = 1.0
    residual_kernels.find_lags(filters, lags)
    residual_kernels.weigh_residuals(room, ends, filters, lags)
    residual_kernels.weigh_products(room, lags)
    for voxel, filter_ in enumerate(filters.T[:4]):
        expected, corner = weigh_precision(filter_)
        np.testing.assert_allclose(lags[:, voxel], expected, rtol=1e-12)
        own = room.ends[:, voxel]
        moved = np.concatenate([corner @ part for part in np.split(own, 2)])
        cross = expected[1:] @ room.lagged[:, voxel].reshape(3, 5) - ends @ moved
        np.testing.assert_allclose(
            room.vectors[residual_kernels.CROSS, :, voxel], cross, rtol=1e-4, atol=1e-5
        )
        rest = expected @ room.products[:, voxel] - own @ moved
        np.testing.assert_allclose(room.numbers[residual_kernels.REST, voxel], rest, rtol=1e-4, atol=1e-4)


def test_steps_from_the_centre_end_at_the_solution_of_each_voxel(rng):
    """As near as single precision has it, where there are as many steps as regressors."""
    basis = np.linalg.qr(rng.normal(size=(40, residual_kernels.STEPS)))[0]
    design = make_lagged_design(make_time_model(basis), 2)
    rank = design.basis.shape[1]
    gram = lambda filter_: design.combine(*weigh_precision(filter_))  # noqa: E731
    room, centre = make_sums(rng, 2, rank, 4), np.r_[1.0, -0.5, -0.1]
    room.filters[0] = centre[:, None]
    room.filters[1, 0], room.filters[1, 1:] = 1.0, 0.3 * rng.normal(size=(2, residual_kernels.CHUNK))
    own = room.filters[1].T.copy()
    for filters, lags in zip(room.filters, room.lags, strict=True):
        lags[:] = np.stack([weigh_precision(filter_)[0] for filter_ in filters.T], axis=1)
    process = residual_kernels.make_process(design, centre, np.linalg.inv(gram(centre)))
    residual_kernels.solve_near(room, process)
    for voxel, filter_ in enumerate(own):
        expected = np.linalg.solve(gram(filter_), room.vectors[residual_kernels.CROSS, :, voxel])
        np.testing.assert_allclose(
            room.vectors[residual_kernels.SOLUTION, :, voxel], expected, rtol=1e-4, atol=1e-5
        )
