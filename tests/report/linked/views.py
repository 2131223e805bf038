"""Linked views of each kind, from simulated maps: what a view needs, without records."""

import numpy as np
from scipy import stats

from bidsapp.records.maps import Geometry
from bidsapp.report.drawing.background import Background
from bidsapp.report.linked.content import Atlas, Detectable, Effect, Rule, Size, Statistic, Subjects, View

N_SHUFFLES = 64
# A tie of three decimals, which Python and a browser round differently: .0625.
TIED = 4
POSITION = (-24.0, -64.0, 8.0)


def make_geometry(step=8.0):
    """Return an ellipsoid of a brain's size around the origin of MNI space."""
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = (-72, -104, -64)
    grid = np.argwhere(np.ones([int(n / step) for n in (152, 184, 152)], bool)) * step + affine[:3, 3]
    inside = np.square((grid - (0, -16, 8)) / (66, 84, 66)).sum(axis=1) < 1
    return Geometry(inside.reshape([int(n / step) for n in (152, 184, 152)]), affine)


def make_underlay(geometry, name="flat"):
    return Background(geometry.mask.astype(np.float32) * 0.6, geometry.affine, name)


def make_view(kind, *, step=8.0, n=8, seed=0):
    """Return a view of a kind: "strip", "cells", "scatter" or "F"."""
    rng, geometry = np.random.default_rng(seed), make_geometry(step)
    positions = geometry.coordinates()
    blob = np.exp(-np.square(positions - POSITION).sum(axis=1) / 800)
    cells = ("neutral", "sad", "glad") if kind in ("cells", "F") else ()
    rows = n * max(len(cells), 1)
    effects = (1.5 * blob + rng.normal(0, 0.4, (rows, geometry.n_points))).astype(np.float32)
    mean, error = effects.mean(axis=0), effects.std(axis=0, ddof=1) / np.sqrt(rows)
    t = mean / error
    values = t**2 if kind == "F" else t
    counts = np.clip(np.rint(N_SHUFFLES * np.exp(2 - np.abs(t))), 1, N_SHUFFLES)
    counts[np.argmax(blob)] = TIED
    p = 2 * stats.t.sf(np.abs(t), rows - 1)
    at = np.linspace(0, float(np.abs(values).max()), 101)
    curve = np.column_stack(
        [at, np.maximum(2 * stats.t.sf(np.sqrt(at) if kind == "F" else at, rows - 1), 1e-300)]
    )
    cut = 9.0 if kind == "F" else 3.0
    names = [f"sub-{i + 1:02d}" for i in range(n) for _ in range(max(len(cells), 1))]
    group = [i % 2 for i in range(n)] if kind in ("strip", "scatter") else [0] * rows
    subjects = Subjects(
        names,
        effects,
        "% signal change",
        groups=("control", "patient") if kind in ("strip", "scatter") else ("",),
        group=group,
        cells=cells,
        cell=[k for _ in range(n) for k in range(len(cells))],
        covariate=np.append(0.1 + 0.2, np.arange(25.0, 20 + 5 * n, 5)) if kind == "scatter" else None,
        axis="age",
        start=0 if kind == "strip" else None,
    )
    effect = None if kind == "F" else Effect("difference", "%", mean, error, 2.3)
    return View(
        anchor=f"view-{kind}",
        geometry=geometry,
        statistic=Statistic(
            "F" if kind == "F" else "t",
            values,
            (2.0,) if kind == "F" else (rows - 1.0,),
            signed=kind != "F",
            curve=curve,
            null_max=rng.gumbel(3, 0.5, N_SHUFFLES),
            dof_map=rng.uniform(10, 20, len(t)) if kind == "F" else None,
        ),
        limit=20.0 if kind == "F" else 8.0,
        position=POSITION,
        underlays=[make_underlay(geometry), make_underlay(geometry, "mean T1w")],
        rules=[
            Rule("maxT", "height", "height", np.abs(values) >= cut, counts / N_SHUFFLES, N_SHUFFLES, cut),
            Rule("fdr", "false discovery rate", "FDR q", p < 0.01, p),
            Rule(
                "ari", "active share", "ARI", p < 0.001, share=np.where(p < 0.001, np.round(1 - 40 * p, 3), 0)
            ),
        ],
        effect=effect,
        size=Size("partial R²", values / (values + 40))
        if kind == "F"
        else Size("Hedges' g", t / 3, t / 3 - 1, t / 3 + 1),
        detectable=None if kind == "F" else Detectable(5.1 * error, 0.8),
        atlases=[Atlas("Halves", ("Left_half", "Right_half"), (positions[:, 0] > 0).astype(int), 50 + 0 * t)],
        subjects=subjects,
    )
