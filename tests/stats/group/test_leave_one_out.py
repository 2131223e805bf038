"""The statistic without each input is that of a fit without it."""

import numpy as np
import pytest

from bidsapp.records.maps import Contrast, GroupDesign
from bidsapp.stats.group.estimators import fit_group
from bidsapp.stats.group.leave_one_out import leave_each_out

N_INPUTS, N_VOXELS = 9, 30
GROUP = np.arange(N_INPUTS) % 2
AGE = np.linspace(-2, 3, N_INPUTS) ** 2
DESIGNS = {
    "mean": (np.ones((N_INPUTS, 1)), [[1.0]]),
    "groups": (np.column_stack([GROUP, 1 - GROUP]), [[1.0, -1.0]]),
    "covariate": (np.column_stack([np.ones(N_INPUTS), AGE]), [[0.0, 1.0]]),
    "collinear": (np.column_stack([GROUP, 1 - GROUP, np.ones(N_INPUTS), AGE]), [[1.0, -1.0, 0.0, 0.0]]),
    "F": (np.column_stack([GROUP, 1 - GROUP, AGE]), [[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]),
}


def fit(effects, matrix, weights):
    contrast = Contrast("c", "t" if len(weights) == 1 else "F", (), np.array(weights))
    return fit_group(effects, None, GroupDesign(matrix, (contrast,)), min_inputs=1)[0].statistic


@pytest.mark.parametrize("design", DESIGNS)
def test_without_an_input_is_the_fit_of_the_others(design, rng):
    matrix, weights = DESIGNS[design]
    effects = rng.normal(0.5, 1, (N_INPUTS, N_VOXELS))
    effects[2, :7] = effects[5, 4:9] = np.nan
    found = list(leave_each_out(effects, matrix.astype(float), np.array(weights)))
    assert len(found) == N_INPUTS
    for index, statistic in enumerate(found):
        rest = np.delete(np.arange(N_INPUTS), index)
        np.testing.assert_allclose(statistic, fit(effects[rest], matrix[rest], weights), rtol=1e-8)


def test_an_input_that_alone_tells_a_column_takes_its_contrasts_along(rng):
    alone = np.eye(N_INPUTS)[3]
    matrix, effects = np.column_stack([np.ones(N_INPUTS), alone]), rng.normal(size=(N_INPUTS, N_VOXELS))
    own = list(leave_each_out(effects, matrix, np.array([[0.0, 1.0]])))
    assert np.isnan(own[3]).all()
    assert np.isfinite(own[4]).all()
    mean = list(leave_each_out(effects, matrix, np.array([[1.0, 0.0]])))
    rest = np.delete(np.arange(N_INPUTS), 3)
    np.testing.assert_allclose(mean[3], fit(effects[rest], np.ones((8, 1)), [[1.0]]), rtol=1e-10)


def test_without_degrees_of_freedom_there_is_nothing(rng):
    found = list(
        leave_each_out(rng.normal(size=(3, 4)), np.column_stack([np.ones(3), [0, 1, 2.0]]), [[0.0, 1]])
    )
    assert np.isnan(found).all()
