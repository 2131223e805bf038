import numpy as np
from scipy import stats

from bidsapp.stats.group.conjunction import conjoin

Z = np.array([[3.0, -3.0, 3.0, np.nan], [2.0, -2.5, -4.0, 1.0]])


def test_conjunction_is_the_value_closest_to_zero():
    np.testing.assert_array_equal(conjoin(Z)[0], [2.0, -2.5, 0.0, np.nan])


def test_p_is_the_largest_p():
    np.testing.assert_allclose(conjoin(Z)[1][:2], 2 * stats.norm.sf([2.0, 2.5]), rtol=1e-12)


def test_effects_of_opposite_sign_are_no_conjunction():
    assert conjoin(Z)[1][2] == 1.0


def test_one_sided_conjunction_is_the_minimum():
    np.testing.assert_array_equal(conjoin(Z[:, :3], tail="positive")[0], [2.0, -3.0, -4.0])
    np.testing.assert_array_equal(conjoin(Z[:, :3], tail="negative")[0], [3.0, -2.5, 3.0])
