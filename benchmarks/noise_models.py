"""Size of the run-level test by repetition time, noise and design, ours and nilearn's, without effects.

    python -m benchmarks.noise_models [--series 2500] [--seeds 4] [--repetition-times 2 0.72] [--plot FILE]

Every series is noise of ``benchmarks.noise_library`` of 240 to 360 s, fitted with 24 columns of motion,
cosines to 128 s and one condition: blocks of 20 s on and off, or events of 1 s every 8 s on average. The
share of series with p < .05 must be .05, that with p < .001 .001. Processes of one repetition time are mixed
as the voxels of one image. AFNI's 3dREMLfit is not compared: it is no package that can be installed with pip.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from nilearn.glm.contrasts import compute_contrast
from nilearn.glm.first_level import run_glm
from nilearn.glm.first_level.hemodynamic_models import compute_regressor
from scipy import stats

from benchmarks.noise_library import LIBRARY
from bidsapp.records.maps import Contrast
from bidsapp.stats.noise.models import count_lags
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.glm import estimate_t, fit_run_glm
from bidsapp.stats.run.sums import accumulate

SECONDS = {2.0: 360, 1.5: 330, 0.35: 240}
OTHER_SECONDS = 300
DESIGNS = ("blocks", "events")
OURS = ("auto", "ar1-reml", "ols")
NILEARN = {"nilearn ar1": "ar1", "nilearn ar3": "ar3"}
ALPHAS = (0.05, 0.001)
# Nilearn is slow: so many of the series.
NILEARN_SHARE = 0.2


def make_condition(kind, frame_times, rng):
    """Return the regressor of a condition: blocks of 20 s, or events of 1 s every 3 s + exponential(5 s)."""
    end = frame_times[-1]
    if kind == "blocks":
        onsets = np.arange(0.0, end, 40.0)
        durations = np.full(len(onsets), 20.0)
    else:
        onsets = np.cumsum(3.0 + rng.exponential(5.0, size=int(end / 3) + 1))
        onsets = onsets[onsets < end - 2.0]
        durations = np.ones(len(onsets))
    condition = np.stack([onsets, durations, np.ones(len(onsets))])
    return compute_regressor(condition, "spm", frame_times)[0][:, 0]


def make_matrix(kind, repetition_time, n_volumes, rng):
    """Return the condition, 24 columns of motion that breathes, and cosines to 128 s with a constant."""
    frame_times = np.arange(n_volumes) * repetition_time
    walks = rng.normal(size=(n_volumes, 6)).cumsum(axis=0)
    phases = 2 * np.pi * 0.3 * frame_times[:, None] + rng.uniform(0, 2 * np.pi, 6)
    walks += 0.3 * walks.std(axis=0) * np.sin(phases)
    steps = np.diff(walks, axis=0, prepend=walks[:1])
    motion = np.column_stack([walks, steps, walks**2, steps**2])
    n_cosines = int(2 * n_volumes * repetition_time / 128)
    cosines = np.cos(np.outer(np.arange(n_volumes) + 0.5, np.arange(n_cosines + 1)) * np.pi / n_volumes)
    return np.column_stack([make_condition(kind, frame_times, rng), stats.zscore(motion), cosines])


def p_values_of(series, matrix, repetition_time, noise_model):
    """Return p of the first column by our engine, and the median degrees of freedom."""
    model = make_time_model(matrix)
    n_lags = count_lags(noise_model, repetition_time, model.dof)
    sums = accumulate([series + 1000.0], model, n_lags=n_lags, scaling="none")
    columns = tuple(map(str, range(matrix.shape[1])))
    contrast = Contrast("first", "t", columns, np.eye(matrix.shape[1])[:1])
    estimate = estimate_t(fit_run_glm(sums, noise_model=noise_model), contrast)
    t = estimate.effect / np.sqrt(estimate.variance)
    return 2 * stats.t.sf(np.abs(t), estimate.dof), np.median(estimate.dof)


def p_values_of_nilearn(series, matrix, noise_model):
    """Return p of the first column by nilearn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels, results = run_glm(1000.0 + series, matrix, noise_model)
        found = compute_contrast(labels, results, np.eye(matrix.shape[1])[0])
    return 2 * stats.t.sf(np.abs(found.stat()), found.dof)


def measure(repetition_time, kind, *, n_series, n_seeds, with_nilearn):
    """Return rows (process, method, size at each alpha, dof) of all processes of a repetition time."""
    processes = [process for process in LIBRARY if process.repetition_time == repetition_time]
    n_volumes = round(SECONDS.get(repetition_time, OTHER_SECONDS) / repetition_time)
    found = {}
    for seed in range(n_seeds):
        rng = np.random.default_rng([int(1000 * repetition_time), DESIGNS.index(kind), seed])
        matrix = make_matrix(kind, repetition_time, n_volumes, rng)
        drawn = [process.draw(n_volumes, n_series, rng) for process in processes]
        order = rng.permutation(n_series * len(processes))
        series, which = np.concatenate(drawn, axis=1)[:, order], order // n_series
        made = {name: p_values_of(series, matrix, repetition_time, name) for name in OURS}
        few = slice(0, int(NILEARN_SHARE * len(order)))
        for name, noise_model in NILEARN.items() if with_nilearn else ():
            p = p_values_of_nilearn(series[:, few], matrix, noise_model)
            made[name] = p, n_volumes - matrix.shape[1]
        for name, (p, dof) in made.items():
            for number, process in enumerate(processes):
                here = p[which[: len(p)] == number]
                found.setdefault((process.name, name), []).append((here, dof))
    return [
        {"tr": repetition_time, "design": kind, "process": process, "method": method}
        | {"size": [float(np.mean(np.concatenate([p for p, _ in some]) < a)) for a in ALPHAS]}
        | {"n": sum(len(p) for p, _ in some), "dof": float(np.median([dof for _, dof in some]))}
        for (process, method), some in found.items()
    ]


def show(rows):
    """Print rows as one table, a line a process and design."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    print("| TR (s) | noise | design | " + " | ".join(methods) + " | dof |")
    print("| --- " * (len(methods) + 4) + "|")
    for key in dict.fromkeys((row["tr"], row["process"], row["design"]) for row in rows):
        here = {row["method"]: row for row in rows if (row["tr"], row["process"], row["design"]) == key}
        cells = [
            "{:.3f} ({:.4f})".format(*here[method]["size"]) if method in here else "" for method in methods
        ]
        cells.append(f"{here['auto']['dof']:.0f}")
        print("| " + " | ".join([f"{key[0]:g}", *key[1:], *cells]) + " |")


def draw(rows, path):
    """Draw the sizes at .05 against the repetition time, one line a method, one panel a design."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "noise"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
    for panel, kind in zip(panels, DESIGNS, strict=True):
        for method in dict.fromkeys(row["method"] for row in rows):
            here = [row for row in rows if row["method"] == method and row["design"] == kind]
            times = sorted({row["tr"] for row in here})
            means = [np.mean([row["size"][0] for row in here if row["tr"] == time]) for time in times]
            panel.plot(times, means, marker="o", markersize=3, label=method)
        panel.axhline(0.05, color="black", linewidth=0.8, linestyle=":")
        panel.set(title=kind, xlabel="repetition time (s)", xscale="log")
        panel.set_xticks([0.35, 0.5, 0.8, 1.5, 2], ["0.35", "0.5", "0.8", "1.5", "2"], minor=False)
        panel.minorticks_off()
    panels[0].set_ylabel("share of p < .05 without an effect")
    panels[0].legend(frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main():
    """Parse the command line; measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    times = sorted({process.repetition_time for process in LIBRARY}, reverse=True)
    parser.add_argument("--series", type=int, default=2500, help="of each process and design matrix")
    parser.add_argument("--seeds", type=int, default=4, help="design matrices")
    parser.add_argument("--repetition-times", type=float, nargs="+", default=times, choices=times)
    parser.add_argument("--without-nilearn", action="store_true")
    parser.add_argument("--save", help="add the rows to this JSON-lines file")
    parser.add_argument("--rows", nargs="+", help="show and draw rows saved before; measure nothing")
    parser.add_argument("--plot", help="draw the sizes into this file")
    given = parser.parse_args()
    if given.rows:
        lines = [line for path in given.rows for line in Path(path).read_text(encoding="utf-8").splitlines()]
        rows = [json.loads(line) for line in lines]
    else:
        rows = []
        for time in given.repetition_times:
            for kind in DESIGNS:
                how = {"n_series": given.series, "n_seeds": given.seeds}
                rows += measure(time, kind, with_nilearn=not given.without_nilearn, **how)
    show(rows)
    if given.save:
        with Path(given.save).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    if given.plot:
        draw(rows, given.plot)


if __name__ == "__main__":
    main()
