import mpmath
import numpy as np
import pytest
from scipy import stats

from bidsapp.stats import distributions as d

# Digits that the conversions keep: both scipy's tails and the inverse are good to about 1e-13.
RELATIVE = 1e-11


def exact_log_upper_t(t, dof):
    with mpmath.workdps(60):
        x = mpmath.mpf(dof) / (dof + mpmath.mpf(t) ** 2)
        return float(mpmath.log(mpmath.betainc(mpmath.mpf(dof) / 2, 0.5, 0, x, regularized=True) / 2))


def f_to_log_p(f, dof_numerator, dof):
    return d.z_to_log_p(d.f_to_z(f, dof_numerator, dof), tail="positive")


@pytest.mark.parametrize("dof", [1, 2, 7.5, 30, 180, 1200])
@pytest.mark.parametrize("t", [1e-3, 0.5, 2.0, 9.0, 40.0, 1000.0])
def test_log_p_of_t_equals_exact_arithmetic(t, dof):
    log_p = d.z_to_log_p(d.t_to_z(t, dof), tail="positive")
    np.testing.assert_allclose(log_p, exact_log_upper_t(t, dof), rtol=RELATIVE)


def test_z_far_in_the_tail_is_not_clipped():
    z = d.t_to_z(np.array([60.0, -60.0, 500.0]), 1e4)
    expected = [exact_log_upper_t(t, 1e4) for t in (60.0, 60.0, 500.0)]
    np.testing.assert_allclose(d.z_to_log_p(np.abs(z), tail="positive"), expected, rtol=RELATIVE)
    assert z[0] > 38
    assert z[1] == -z[0]


def test_z_of_t_with_infinite_dof_is_t():
    t = np.array([-40.0, -1.5, 0.0, 2.0, 40.0])
    np.testing.assert_allclose(d.t_to_z(t, np.inf), t, rtol=RELATIVE)


def test_f_with_infinite_dof_is_chi_square():
    f = np.array([0.01, 0.7, 3.0, 100.0])
    np.testing.assert_allclose(f_to_log_p(f, 4, np.inf), stats.chi2.logsf(4 * f, 4), rtol=RELATIVE)


@pytest.mark.parametrize("z", [30.0, 40.0, 60.0])
def test_f_with_one_and_infinite_dof_is_the_square_of_z(z):
    np.testing.assert_allclose(f_to_log_p(z**2, 1, np.inf), d.z_to_log_p(z), rtol=RELATIVE)


def test_z_of_t_equals_scipy_where_scipy_is_good():
    t = np.linspace(-8, 8, 33)
    z = np.sign(t) * stats.norm.isf(stats.t.sf(np.abs(t), 25))
    np.testing.assert_allclose(d.t_to_z(t, 25), z, rtol=RELATIVE, atol=1e-15)


def test_dof_may_differ_between_voxels():
    t, dof = np.array([2.0, 2.0, 45.0]), np.array([3.0, 300.0, 4000.0])
    np.testing.assert_array_equal(d.t_to_z(t, dof), [d.t_to_z(a, b) for a, b in zip(t, dof, strict=True)])


def test_nan_passes_and_infinity_stays():
    np.testing.assert_array_equal(d.t_to_z([np.nan, np.inf, -np.inf], 10), [np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(d.f_to_z([np.nan, np.inf, 0.0], 2, 10), [np.nan, np.inf, -np.inf])
    assert np.isnan(d.t_to_z(2.0, np.nan))


def test_z_of_f_equals_scipy_on_both_sides_of_the_median():
    f = np.array([1e-4, 0.05, 0.5, 0.8, 1.0, 2.0, 10.0, 40.0])
    expected = np.where(
        f < stats.f.median(3, 60), stats.norm.ppf(stats.f.cdf(f, 3, 60)), stats.norm.isf(stats.f.sf(f, 3, 60))
    )
    np.testing.assert_allclose(d.f_to_z(f, 3, 60), expected, rtol=1e-9)


def test_f_of_one_row_has_the_two_sided_p_of_t():
    t = np.array([0.1, 2.0, 30.0, 70.0])
    np.testing.assert_allclose(f_to_log_p(t**2, 1, 2000), d.z_to_log_p(d.t_to_z(t, 2000)), rtol=RELATIVE)


def test_f_far_in_the_tail_equals_exact_arithmetic():
    with mpmath.workdps(60):
        x = mpmath.mpf(1000) / (1000 + 4 * mpmath.mpf(3000))
        exact = float(mpmath.log(mpmath.betainc(500, 2, 0, x, regularized=True)))
    np.testing.assert_allclose(f_to_log_p(3000.0, 4, 1000), exact, rtol=RELATIVE)
    assert d.f_to_z(3000.0, 4, 1000) > 38


@pytest.mark.parametrize(("tail", "expected"), [("positive", 0.97), ("negative", 0.03), ("two", 0.06)])
def test_tails_of_z(tail, expected):
    z = stats.norm.ppf(0.03)
    np.testing.assert_allclose(np.exp(d.z_to_log_p(z, tail=tail)), expected, rtol=1e-12)


def test_p_to_t_inverts_the_tail():
    np.testing.assert_allclose(d.t_to_z(d.p_to_t(0.001, 20), 20), stats.norm.isf(0.001))


def test_two_sided_p_of_zero_is_one():
    assert d.z_to_log_p(d.t_to_z(0.0, 5)) == 0.0
