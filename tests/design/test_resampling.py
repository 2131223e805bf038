import numpy as np
import pytest

from bidsapp.design.resampling import resample_at

SAMPLES = np.arange(0, 300, 0.01)
FRAMES = 1.0 + 2.0 * np.arange(140)


def wave(hertz, times):
    return np.sin(2 * np.pi * hertz * times + 0.3)


@pytest.mark.parametrize("hertz", [0.01, 0.05, 0.1, 0.2])
def test_slow_waves_are_kept(hertz):
    resampled = resample_at(wave(hertz, SAMPLES), SAMPLES, FRAMES)
    np.testing.assert_allclose(resampled[8:-12], wave(hertz, FRAMES)[8:-12], atol=0.01)


@pytest.mark.parametrize("hertz", [0.3, 0.5, 0.98, 1.1])
def test_waves_that_volumes_cannot_show_do_not_come_back_as_slow_ones(hertz):
    assert np.abs(resample_at(wave(hertz, SAMPLES), SAMPLES, FRAMES))[8:-12].max() < 0.01


@pytest.mark.parametrize("rate", [0.8, 1.0, 3.7, 40.0])
def test_the_rate_of_sampling_does_not_matter(rate):
    times = -5 + np.arange(0, 310, 1 / rate)
    np.testing.assert_allclose(
        resample_at(wave(0.05, times), times, FRAMES)[8:-12], wave(0.05, FRAMES)[8:-12], atol=0.02
    )


def test_a_constant_stays_constant_to_the_ends():
    np.testing.assert_allclose(resample_at(np.full(30000, 7.0), SAMPLES, FRAMES), 7.0)


def test_missing_samples_are_bridged():
    values = SAMPLES.copy()
    values[1000:1500] = np.nan
    np.testing.assert_allclose(resample_at(values, SAMPLES, FRAMES)[8:-12], FRAMES[8:-12], atol=1e-6)


def test_a_slower_recording_is_joined_by_lines():
    np.testing.assert_allclose(
        resample_at(np.array([0.0, 10.0]), np.array([0.0, 10.0]), np.array([2.0, 7.0])), [2, 7]
    )


def test_one_sample_holds_for_all_volumes():
    np.testing.assert_array_equal(resample_at(np.array([3.0]), np.array([0.0]), FRAMES[:4]), [3, 3, 3, 3])
