"""Our convolution against nilearn's own, over repetition times, run lengths and events of every kind."""

import warnings

import numpy as np
import pytest
from nilearn.glm.first_level.hemodynamic_models import compute_regressor

from bidsapp.design import responses
from bidsapp.design.responses import convolve_events, respond_to_event
from bidsapp.records.model import HRF_MODELS

# The same sums in another order; far below the 1e-6 that designs must reach.
TOLERANCE = 1e-10


@pytest.mark.parametrize("model", HRF_MODELS)
@pytest.mark.parametrize("repetition_time", [0.72, 0.8, 1.5, 2.0, 2.2, 3.0])
def test_columns_are_nilearns(model, repetition_time, rng):
    delays = (0, 1, 4) if model == "fir" else ()
    for n_volumes in (20, 51, 146, 300):
        # 51 volumes of 2 s from 1 s on end at half a sample of the fine grid, which must be rounded alike.
        for start in (0.0, repetition_time / 2, 0.2 * repetition_time, rng.uniform(0, repetition_time)):
            frame_times = np.arange(n_volumes) * repetition_time + start
            onset = rng.uniform(-40, frame_times[-1] + 30, 25)
            events = onset, rng.choice([0.0, 0.1, 2.0, 20.0], 25), rng.normal(size=25)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                expected, _ = compute_regressor(events, model, frame_times, fir_delays=list(delays) or None)
            made, _ = convolve_events(events, model, delays, frame_times)
            np.testing.assert_allclose(made, expected, atol=TOLERANCE, rtol=0)


def test_no_events_give_zero_columns():
    nothing = np.zeros(0), np.zeros(0), np.zeros(0)
    made, _ = convolve_events(nothing, "spm + derivative", (), np.arange(30) * 2.0)
    assert made.shape == (30, 2)
    assert not made.any()


@pytest.mark.parametrize("model", [name for name in HRF_MODELS if name != "fir"])
@pytest.mark.parametrize("duration", [0.0, 3.0, 25.0])
def test_columns_of_one_event_are_its_response(model, duration, monkeypatch):
    monkeypatch.setattr(responses, "DRAWN_STEP", 0.0)
    frame_times, onset = np.arange(60) * 2.0, 20.0
    event = np.array([onset]), np.array([duration]), np.ones(1)
    columns, mixing = convolve_events(event, model, (), frame_times)
    seconds, shapes = respond_to_event(model, (), 2.0, duration, mixing)
    expected = [np.interp(frame_times - onset, seconds, shape, left=0, right=0) for shape in shapes.T]
    np.testing.assert_allclose(columns, np.transpose(expected), atol=2e-3 * np.abs(columns).max())


def test_a_column_of_fir_is_the_response_at_its_delay():
    seconds, shapes = respond_to_event("fir", (0, 2, 5), 1.5, 3.0, np.eye(3))
    assert list(seconds) == [0.0, 3.0, 7.5]
    assert np.array_equal(shapes, np.eye(3))
