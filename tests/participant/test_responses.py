"""The response of conditions with several columns, at the strongest voxel of the combined contrast."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from documents import make_document, run_node, transformations
from scipy import stats

from bidsapp.design.run import make_run_design
from bidsapp.model.read import parse_model
from bidsapp.participant.fit import Fitted
from bidsapp.participant.responses import describe_responses, keep_curves
from bidsapp.records.maps import Contrast, EstimateKey, Geometry
from bidsapp.stats.noise.models import count_lags
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.fixed_effects import combine_with_shares
from bidsapp.stats.run.glm import estimate_f, estimate_t, fit_run_glm
from bidsapp.stats.run.sums import accumulate

SHAPE = (5, 4, 3)
PEAK = 37
TIMES = np.arange(160) * 2.0 + 1.0


def make_design(rng, *steps, model="glover", duration=2.0, columns=("", "_derivative")):
    onset = np.sort(rng.uniform(5, 300, 30))
    events = pd.DataFrame({"onset": onset, "duration": duration, "trial_type": ["a", "b"] * 15})
    x = [f"trial_type.{c}{part}" for c in "ab" for part in columns]
    convolve = {"Name": "Convolve", "Model": model, "Input": ["trial_type.*"]}
    convolve |= {"Derivative": True} if model != "fir" else {"FIRDelays": [0, 1, 2, 3, 4, 5]}
    node = run_node(
        [*x, 1],
        Transformations=transformations({"Name": "Factor", "Input": ["trial_type"]}, convolve, *steps),
    )
    return make_run_design(parse_model(json.dumps(make_document(node))).nodes[0], events, None, TIMES)


def make_run(rng, label, *, noise_model="ar1-reml", test="t", **options):
    """Return the entries of a run whose voxel PEAK responds to a, late, and its fitted model."""
    made = make_design(rng, **options)
    matrix, names = made.design.matrix, list(made.design.columns)
    series = 1000 + rng.normal(size=(len(TIMES), np.prod(SHAPE))) * 5
    late = matrix[:, names.index("trial_type.a")]
    series[:, PEAK] += 60 * np.roll(late, 1)
    blocks = [series]
    sums = accumulate(blocks, make_time_model(matrix), n_lags=count_lags(noise_model), scaling="percent")
    model = fit_run_glm(sums, noise_model=noise_model)
    weights = np.eye(len(names))[[names.index(f"trial_type.a{part}") for part in ("", "_derivative")]]
    contrast = Contrast("a", test, tuple(names), weights[:1] if test == "t" else weights)
    fit = SimpleNamespace(
        design=made.design,
        keep=np.ones(len(TIMES), bool),
        responses=made.responses,
        label=label,
        contrasts=(contrast,),
    )
    geometry = Geometry(np.ones(SHAPE, bool), np.diag([4.0, 4, 4, 1]))
    curves = keep_curves(fit, model, geometry)
    estimate = (estimate_t if test == "t" else estimate_f)(model, contrast)
    return make_entry("run", [label], geometry, estimate, curves), model, made


def make_entry(level, labels, geometry, estimate, curves=None):
    record = SimpleNamespace(
        level=level, contrast="a", node=level, entities={"sub": "01"}, runs=labels, units="% signal change"
    )
    key = EstimateKey(level, level, "a", (("sub", "01"),))
    return Fitted(key, geometry, estimate, record, curves=curves)


@pytest.mark.parametrize("noise_model", ["ar1-reml", "ols"])
def test_the_response_is_that_of_contrasts_of_its_shapes_combined_over_runs(rng, noise_model):
    runs = [make_run(rng, f"run-{k}", noise_model=noise_model) for k in (1, 2)]
    entries = [entry for entry, *_ in runs]
    combined, _ = combine_with_shares([entry.estimate for entry in entries])
    last = make_entry("subject", ["run-1", "run-2"], entries[0].geometry, combined)
    (a,) = [r for r in describe_responses([*entries, last], "precision") if r.condition == "trial_type.a"]
    assert a.position == tuple(entries[0].geometry.coordinates()[PEAK])
    assert (a.contrast, a.node, list(a.runs), a.delays) == ("a", "subject", ["run-1", "run-2"], False)
    point = 15
    each = []
    for entry, model, made in runs:
        (response,) = [r for r in made.responses if r.name == "trial_type.a"]
        weights = np.zeros((1, len(made.design.columns)))
        weights[0, [made.design.columns.index(name) for name in response.columns]] = response.shapes[point]
        each.append(estimate_t(model, Contrast("c", "t", made.design.columns, weights)))
        assert a.runs[entry.curves.label][point] == pytest.approx(each[-1].effect[PEAK], rel=1e-5)
    expected, _ = combine_with_shares(each)
    dof = np.broadcast_to(expected.dof, np.prod(SHAPE))[PEAK]
    half = stats.t.ppf(0.975, dof) * np.sqrt(expected.variance[PEAK])
    assert a.effect[point] == pytest.approx(expected.effect[PEAK], rel=1e-5)
    assert a.high[point] - a.low[point] == pytest.approx(2 * half, rel=1e-4)


def test_a_late_response_has_its_peak_late(rng):
    entry, *_ = make_run(rng, "run-1", duration=1.0)
    (found,) = [r for r in describe_responses([entry], "precision") if r.condition == "trial_type.a"]
    # Glover's peak is 5 s after the middle of an event; the series is one volume later.
    assert found.seconds[int(np.argmax(found.effect))] > 6.2
    assert found.effect[0] == found.low[0] == found.high[0] == 0


def test_of_f_the_highest_z_counts(rng):
    entry, *_ = make_run(rng, "run-1", test="F")
    (found,) = [r for r in describe_responses([entry], "precision") if r.condition == "trial_type.a"]
    assert found.position == tuple(entry.geometry.coordinates()[PEAK])
    assert found.z > 5


def test_conditions_without_a_contrast_have_no_response(rng):
    entry, *_ = make_run(rng, "run-1")
    assert set(entry.curves.curves) == {"trial_type.a", "trial_type.b"}
    assert [r.condition for r in describe_responses([entry], "precision")] == ["trial_type.a"]


def test_runs_with_events_of_other_durations_are_combined(rng):
    entries = [make_run(rng, f"run-{k}", duration=d)[0] for k, d in ((1, 2.0), (2, 2.6))]
    combined, _ = combine_with_shares([entry.estimate for entry in entries])
    last = make_entry("subject", ["run-1", "run-2"], entries[0].geometry, combined)
    found = describe_responses([*entries, last], "precision")[0]
    assert len(found.runs) == 2
    assert found.duration == pytest.approx(2.3)


@pytest.mark.parametrize(
    ("model", "columns", "n"),
    [
        ("glover", ("", "_derivative"), 2),
        ("glover", ("",), 0),
        ("fir", tuple(f"_delay_{k}" for k in range(6)), 6),
    ],
)
def test_a_design_knows_the_responses_of_several_columns(rng, model, columns, n):
    responses = make_design(rng, model=model, columns=columns).responses
    assert [len(r.columns) for r in responses] == ([n, n] if n else [])
    if model == "fir":
        assert np.array_equal(responses[0].shapes, np.eye(6))
        assert list(responses[0].seconds) == [0, 2, 4, 6, 8, 10]


def test_columns_that_were_changed_since_are_no_response(rng):
    scale = {"Name": "Scale", "Input": ["trial_type.a_derivative"]}
    assert [r.name for r in make_design(rng, scale).responses] == ["trial_type.b"]
