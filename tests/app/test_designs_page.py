"""Every command of docs/designs.md, run on small maps: effect and t are those of a separate fit."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from effect_maps import run_group, write_effect_maps

from bidsapp.group import stage

PAGE = Path(__file__).parents[2] / "docs" / "designs.md"
SHAPE = (3, 2, 2)
SESSIONS = ("pre", "mid", "post")
TABLE = {
    "group": ["patient"] * 7 + ["control"] * 8,
    "site": ["x", "y", "z"] * 5,
    "age": [21, 34, 28, 45, 39, 52, 30, 24, 61, 47, 33, 58, 26, 41, 37],
    "dose": ["low", "mid", "high", "mid", "low"] * 3,
    "code": [1, 2, 2] * 5,
    "iq": [101, 95, 117, 88, 109, 124, 99, 92, 106, 113, 97, 120, 85, 103, 111],
}
N = len(TABLE["age"])
AGE, IQ = (np.array(TABLE[name]) - np.mean(TABLE[name]) for name in ("age", "iq"))
CONTROL, PATIENT = (np.array(TABLE["group"]) == name for name in ("control", "patient"))
X, Y, Z = (np.array(TABLE["site"]) == name for name in "xyz")
ONES = np.ones(N)
LOW, MID = (np.array(TABLE["dose"]) == name for name in ("low", "mid"))


def of(*columns):
    return np.column_stack(columns).astype(float)


@pytest.fixture(scope="module")
def values():
    """Of each contrast, without a session and in three: arrays (subjects, x, y, z)."""
    rng = np.random.default_rng(19)
    names = [(session, name) for session in (None, *SESSIONS) for name in ("faces", "houses")]
    return {key: rng.normal(size=(N, *SHAPE)).astype(np.float32).astype(float) for key in names}


@pytest.fixture(scope="module")
def folders(values, tmp_path_factory):
    """The maps without sessions, and those of three."""
    folder, found = tmp_path_factory.mktemp("designs"), {}
    for with_sessions in (False, True):
        maps = {
            f"ses-{session}_{name}" if session else name: list(effects)
            for (session, name), effects in values.items()
            if bool(session) == with_sessions
        }
        found[with_sessions] = write_effect_maps(folder / f"maps{with_sessions:d}", maps, TABLE)
    return found


def change(values, name="faces"):
    return values["pre", name] - values["post", name]


def interaction(values):
    return change(values) - change(values, "houses")


def faces(values):
    return values[None, "faces"]


BOTH, PAIR = of(CONTROL, PATIENT), "facesSesPreVsSesPost"
GIVEN_AGE, SLOPES = of(CONTROL, PATIENT, AGE), of(CONTROL, PATIENT, AGE * CONTROL, AGE * PATIENT)
CELLS = of(*(group * site for group in (CONTROL, PATIENT) for site in (X, Y, Z)))
LINE = of(ONES, AGE)
BEND = AGE**2 - LINE @ np.linalg.lstsq(LINE, AGE**2, rcond=None)[0]
SCALED = [column / column.std(ddof=1) for column in (IQ, AGE)]
# Words -> label of the contrast, what is fitted, design, weights.
FITS = {
    "one-sample": ("faces", faces, of(ONES), [1]),
    "one-sample --select-contrasts faces": ("faces", faces, of(ONES), [1]),
    "two-sample group": ("facesControlVsPatient", faces, BOTH, [1, -1]),
    "two-sample group covariate age": ("facesControlVsPatient", faces, GIVEN_AGE, [1, -1, 0]),
    "two-sample group covariate-by-group age": ("facesAgeControlVsPatient", faces, SLOPES, [0, 0, 1, -1]),
    "covariate age": ("facesAge", faces, of(ONES, AGE), [0, 1]),
    "covariate age iq": ("facesAge", faces, of(ONES, AGE, IQ), [0, 1, 0]),
    "anova site": ("facesSite", faces, of(X, Y, Z), [[1, -1, 0], [0, 1, -1]]),
    "anova site --group-contrast 'first=site.x - (site.y + site.z) / 2'": (
        "facesFirst",
        faces,
        of(X, Y, Z),
        [1, -0.5, -0.5],
    ),
    "paired faces houses": (
        "facesVsHouses",
        lambda values: values[None, "faces"] - values[None, "houses"],
        of(ONES),
        [1],
    ),
    "paired ses-pre ses-post": (PAIR, change, of(ONES), [1]),
    "paired ses-pre ses-post two-sample group": (f"{PAIR}ControlVsPatient", change, BOTH, [1, -1]),
    "paired ses-pre ses-post two-sample group covariate age": (
        f"{PAIR}ControlVsPatient",
        change,
        GIVEN_AGE,
        [1, -1, 0],
    ),
    "paired ses-pre ses-post two-sample group --weights equal": (PAIR, change, BOTH, [0.5, 0.5]),
    "paired ses-pre ses-post covariate age": (f"{PAIR}Age", change, of(ONES, AGE), [0, 1]),
    "repeated-measures ses-pre,ses-mid,ses-post --group-contrast 'trend=ses-post - ses-pre'": (
        "facesTrend",
        lambda values: -change(values),
        of(ONES),
        [1],
    ),
    "repeated-measures cond=faces,houses time=ses-pre,ses-post": ("condXTime", interaction, of(ONES), [1]),
    "repeated-measures cond=faces,houses time=ses-pre,ses-post two-sample group": (
        "condXTimeControlVsPatient",
        interaction,
        BOTH,
        [1, -1],
    ),
    "--formula '~ group + age + site'": (
        "facesPatientVsControl",
        faces,
        of(CONTROL, PATIENT, AGE, X, Y),
        [-1, 1, 0, 0, 0],
    ),
    "--formula '~ group * age' --group-contrast patient:age": (
        "facesPatientAge",
        faces,
        SLOPES,
        [0, 0, 0, 1],
    ),
    "--formula '~ group + site'": (
        "facesSite",
        faces,
        of(PATIENT, X, Y, Z),
        [[0, 1, -1, 0], [0, 0, 1, -1]],
    ),
    "--formula '~ group * site'": (
        "facesGroupXSite",
        faces,
        CELLS,
        [[1, -1, 0, -1, 1, 0], [0, 1, -1, 0, -1, 1]],
    ),
    "--formula '~ group * site' --group-contrast 'patient:z - control:z'": (
        "facesPatientZControlZ",
        faces,
        CELLS,
        [0, 0, -1, 0, 0, 1],
    ),
    "--formula '~ poly(age, 2)'": (
        "facesPolyAge2",
        faces,
        of(ONES, AGE, AGE**2),
        [[0, 1, 0], [0, 0, 1]],
    ),
    "--formula '~ poly(age, 2)' --group-contrast 'bend=poly(age, 2)[2]'": (
        "facesBend",
        faces,
        of(ONES, AGE, BEND / np.linalg.norm(BEND)),
        [0, 0, 1],
    ),
    "--formula '~ log(iq)'": ("facesLogIq", faces, of(ONES, np.log(TABLE["iq"])), [0, 1]),
    "--formula '~ scale(iq) * scale(age)'": (
        "facesIqXAge",
        faces,
        of(ONES, *SCALED, SCALED[0] * SCALED[1]),
        [0, 0, 0, 1],
    ),
    "--formula '~ dose' --group-contrast 'high - low'": (
        "facesHighLow",
        faces,
        of(ONES, LOW, MID),
        [0, -1, 0],
    ),
    "--formula '~ C(code) + age'": (
        "facesCode2VsCode1",
        faces,
        of(ONES, np.equal(TABLE["code"], 2), AGE),
        [0, 1, 0],
    ),
}


def read_rows():
    found = re.findall(r"^\| .+? \| `(--.+?)` \|", PAGE.read_text(), flags=re.MULTILINE)
    rows = [row.removeprefix("--group-design ") for row in found]
    return [shlex.join(shlex.split(row)) for row in rows]


@pytest.fixture
def run(folders, tmp_path, monkeypatch):
    """Return a function that runs the words of a row, without pages."""
    monkeypatch.setattr(stage, "write_group_report", lambda *_, **__: None)
    monkeypatch.setattr(stage, "write_overview", lambda *_: None)

    def run(words):
        maps = folders["ses-" in words]
        # What does not speak of houses is run without them, to save time.
        less = [] if "faces" in words else ["--select-contrasts", "faces"]
        design = [] if words.startswith("--formula") else ["--group-design"]
        words = [*design, *shlex.split(words), *less]
        found = run_group(maps, tmp_path / "out", "--atlas", "aal", *words)
        assert found.code == 0
        return found

    return run


def fit_rows(y, x, weights):
    """Return effect and t of one row of weights, or the F of several, by least squares at each voxel."""
    flat, weights = y.reshape(len(y), -1), np.atleast_2d(weights)
    beta, squares, rank, _ = np.linalg.lstsq(x, flat, rcond=None)
    variance, effects = squares / (len(x) - rank), weights @ beta
    covariance = weights @ np.linalg.inv(x.T @ x) @ weights.T
    if len(weights) > 1:
        f = np.einsum("rv,rs,sv->v", effects, np.linalg.inv(covariance), effects) / len(weights) / variance
        return {"F": f.reshape(SHAPE)}
    t = effects[0] / np.sqrt(variance * covariance[0, 0])
    return {"effect": effects[0].reshape(SHAPE), "t": t.reshape(SHAPE)}


@pytest.mark.parametrize("words", FITS)
def test_effect_and_t_are_those_of_a_separate_fit(run, values, words):
    label, measure, x, weights = FITS[words]
    found = run(words)
    for stat, expected in fit_rows(measure(values), x, weights).items():
        np.testing.assert_allclose(found.map(f"contrast-{label}_stat-{stat}"), expected, rtol=1e-6, atol=1e-6)


def test_welch_is_that_of_two_variances(run, values):
    found = run("two-sample group --variance-groups group")
    first, second = (values[None, "faces"][rows] for rows in (CONTROL, PATIENT))
    error = first.var(axis=0, ddof=1) / len(first) + second.var(axis=0, ddof=1) / len(second)
    t = (first.mean(axis=0) - second.mean(axis=0)) / np.sqrt(error)
    np.testing.assert_allclose(found.map("contrast-facesControlVsPatient_stat-t"), t, rtol=1e-6)


def test_three_sessions_are_hotellings_t2(run, values):
    found = run("repeated-measures ses-pre,ses-mid,ses-post")
    pre, mid, post = (values[session, "faces"].reshape(N, -1) for session in SESSIONS)
    scores = np.stack([pre - mid, mid - post])
    for voxel in range(scores.shape[2]):
        mean, covariance = scores[:, :, voxel].mean(axis=1), np.cov(scores[:, :, voxel])
        f = N * mean @ np.linalg.solve(covariance, mean) * (N - 2) / (2 * (N - 1))
        assert found.map("contrast-facesSession_stat-F").ravel()[voxel] == pytest.approx(f, rel=1e-6)


def test_every_row_of_the_page_has_a_fit():
    own = {"two-sample group --variance-groups group", "repeated-measures ses-pre,ses-mid,ses-post"}
    assert set(read_rows()) == own | set(FITS)
