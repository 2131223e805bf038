"""Size and precision of the default noise model where a run is not the plain one of ``noise_models``.

    python -m benchmarks.noise_conditions [--conditions f2 scrubbed] [--repetition-times 2] [--series 2500]

Series, designs and the table are those of ``benchmarks.noise_models``; the conditions:

- f2, f3: F of the condition and of the same 6 s (and 12 s) later;
- two-runs: two runs fitted together, each with its own columns of motion;
- scrubbed: a tenth of the volumes censored at random;
- short95, short60: so many volumes;
- fixed2, fixed4, fixed8: fixed effects over so many runs;
- group-ols, group-reml, group-flame1: the mean of 16 subjects of one run, who differ by as much as the noise
  of a run makes them;
- smoothing0, smoothing4, smoothing8: coefficients smoothed by so many mm (--noise-smoothing-fwhm) in a cube
  of 3-mm voxels whose halves are tissues with the least and the most autocorrelated process of a repetition
  time; noise smoothed by 6 mm, the mean intensity 900 in one and 600 in the other;
- precision: standard deviation of the effect of the covariance that was simulated over that of ours (1 is
  the best there is), our variance over that of ``ar1-reml``, and the mean z of an effect whose z is 4 with
  that covariance known, over 4, instead of the sizes and the degrees of freedom.

``--noise-model`` takes another model than ``auto``, as ``ar3-reml``.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.linalg import cho_factor, cho_solve, toeplitz
from scipy.ndimage import gaussian_filter

from benchmarks.noise_library import LIBRARY
from benchmarks.noise_models import ALPHAS, DESIGNS, OTHER_SECONDS, SECONDS, make_matrix
from bidsapp.participant.noise_smoothing import FWHM_PER_SIGMA, make_smoother
from bidsapp.records.maps import Contrast, Geometry, GroupDesign
from bidsapp.stats.distributions import t_to_z
from bidsapp.stats.group.estimators import fit_group
from bidsapp.stats.noise.models import count_lags
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.fixed_effects import combine_with_shares
from bidsapp.stats.run.glm import estimate_f, estimate_t, fit_run_glm
from bidsapp.stats.run.maps import joint_f
from bidsapp.stats.run.sums import accumulate, join_sums

SCRUBBED, DELAY, SUBJECTS, SIGNAL_Z = 0.1, 6.0, 16, 4.0
GROUP = ("ols", "reml", "flame1")
SMOOTHING = {f"smoothing{mm}": float(mm) for mm in (0, 4, 8)}
# The cube has so many voxels a side; its noise this full width at half maximum.
SIDE, NOISE_MM = 16, 6.0


def fit(model, series, repetition_time, *, noise_model="auto", smooth=None):
    """Return the fitted run, or runs, of a TimeModel and series (n_volumes, n_series)."""
    shortest = min(run.stop - run.start for run in model.runs)
    n_lags = count_lags(noise_model, repetition_time, model.dof, shortest)
    how = {"n_lags": n_lags, "scaling": "none"}
    parts = [accumulate([series[run] + 1000.0], model.of_run(run), **how) for run in model.runs]
    sums = parts[0] if len(parts) == 1 else join_sums(model, parts)
    return fit_run_glm(sums, noise_model=noise_model, smooth=smooth)


def make_contrast(n_columns, n_rows=1):
    """Return the contrast of the first columns."""
    rows = np.eye(n_columns)[:n_rows]
    return Contrast("first", "F" if n_rows > 1 else "t", tuple(map(str, range(n_columns))), rows)


def test(estimate):
    """Return p-values and degrees of freedom of an estimate."""
    t = estimate.effect / np.sqrt(estimate.variance)
    return 2 * stats.t.sf(np.abs(t), estimate.dof), estimate.dof


class Setting:
    """What a condition draws from: a design, and series of all processes mixed as the voxels of an image."""

    def __init__(self, repetition_time, kind, n_series, rng, noise_model="auto"):
        self.repetition_time, self.kind, self.rng = repetition_time, kind, rng
        self.noise_model = noise_model
        self.processes = [process for process in LIBRARY if process.repetition_time == repetition_time]
        self.n_volumes = round(SECONDS.get(repetition_time, OTHER_SECONDS) / repetition_time)
        self.order = rng.permutation(n_series * len(self.processes))
        self.which = self.order // n_series
        self.n_series = n_series

    def draw(self, n_volumes=None):
        """Return series, shape (n_volumes, n_all)."""
        size = n_volumes or self.n_volumes, self.n_series
        return np.concatenate([p.draw(*size, self.rng) for p in self.processes], axis=1)[:, self.order]

    def matrix(self, n_volumes=None):
        """Return a design, its first column the condition."""
        return make_matrix(self.kind, self.repetition_time, n_volumes or self.n_volumes, self.rng)

    def fit(self, matrix, series, *, keep=None, starts=(0,), **more):
        """Return the fitted run."""
        how = {"noise_model": self.noise_model} | more
        return fit(make_time_model(matrix, keep, starts), series, self.repetition_time, **how)

    def extremes(self):
        """Return the processes of the least and the greatest correlation of neighbouring volumes."""
        order = np.argsort([np.fft.ifft(process.density()).real[1] for process in self.processes])
        return self.processes[order[0]], self.processes[order[-1]]


def test_f(setting, n_rows):
    """F of the condition at several delays."""
    matrix, times = setting.matrix(), np.arange(setting.n_volumes) * setting.repetition_time
    later = [np.interp(times - k * DELAY, times, matrix[:, 0], left=0.0) for k in range(1, n_rows)]
    matrix = np.column_stack([*later, matrix])
    joint = estimate_f(setting.fit(matrix, setting.draw()), make_contrast(matrix.shape[1], n_rows))
    return stats.f.sf(joint_f(joint.effect, joint.covariance), n_rows, joint.dof), joint.dof


def test_two_runs(setting):
    """One condition over two runs that share the coefficients of the noise."""
    first, second = setting.matrix(), setting.matrix()
    own = [np.pad(first[:, 1:], ((0, len(second)), (0, 0))), np.pad(second[:, 1:], ((len(first), 0), (0, 0)))]
    matrix = np.column_stack([np.concatenate([first[:, 0], second[:, 0]]), *own])
    series = np.concatenate([setting.draw(), setting.draw()])
    fitted = setting.fit(matrix, series, starts=(0, len(first)))
    return test(estimate_t(fitted, make_contrast(matrix.shape[1])))


def test_scrubbed(setting):
    """A tenth of the volumes censored."""
    matrix, keep = setting.matrix(), np.ones(setting.n_volumes, bool)
    keep[setting.rng.choice(len(keep), int(SCRUBBED * len(keep)), replace=False)] = False
    fitted = setting.fit(matrix, setting.draw(), keep=keep)
    return test(estimate_t(fitted, make_contrast(matrix.shape[1])))


def test_short(setting, n_volumes):
    """A run of few volumes."""
    matrix = setting.matrix(n_volumes)
    return test(estimate_t(setting.fit(matrix, setting.draw(n_volumes)), make_contrast(matrix.shape[1])))


def draw_estimates(setting, n_runs):
    """Return the estimates of runs, each with its own design."""
    estimates = []
    for _ in range(n_runs):
        matrix = setting.matrix()
        estimates.append(estimate_t(setting.fit(matrix, setting.draw()), make_contrast(matrix.shape[1])))
    return estimates


def test_group(setting, estimator):
    """The mean of subjects by a group estimator, which weighs by the variances of the runs."""
    estimates = draw_estimates(setting, SUBJECTS)
    effects, variances = (np.stack([getattr(e, name) for e in estimates]) for name in ("effect", "variance"))
    effects += setting.rng.normal(size=effects.shape) * np.sqrt(np.median(variances))
    contrast = Contrast("mean", "t", ("mean",), np.ones((1, 1)))
    design = GroupDesign(np.ones((SUBJECTS, 1)), (contrast,))
    found = fit_group(effects, variances, design, estimator=estimator)[0]
    return found.p, found.dof


def test_fixed(setting, n_runs):
    """Fixed effects over runs."""
    estimates = draw_estimates(setting, n_runs)
    return test(combine_with_shares(estimates, np.ones((n_runs, 1)), np.ones(1))[0])


def known_deviation(process, matrix):
    """Return the standard deviation of the first column's effect with the covariance known."""
    autocovariance = np.fft.ifft(process.density()).real[: len(matrix)]
    whole = cho_solve(cho_factor(toeplitz(autocovariance)), matrix)
    return np.sqrt(np.linalg.inv(matrix.T @ whole)[0, 0])


def compare_precision(setting):
    """Return rows of the ratios of standard deviations, of variances and of z, one a process."""
    matrix, series = setting.matrix(), setting.draw()
    contrast = make_contrast(matrix.shape[1])
    ours = estimate_t(setting.fit(matrix, series), contrast)
    simple = estimate_t(setting.fit(matrix, series, noise_model="ar1-reml"), contrast).effect
    rows = []
    for number, process in enumerate(setting.processes):
        inside, known = setting.which == number, known_deviation(process, matrix)
        effect = ours.effect[inside]
        # A signal along the condition moves its effect and nothing else.
        z = t_to_z((effect + SIGNAL_Z * known) / np.sqrt(ours.variance[inside]), ours.dof[inside])
        rows.append((known / effect.std(), effect.var() / simple[inside].var(), z.mean() / SIGNAL_Z))
    return rows


def measure_smoothing(setting, fwhm_mm):
    """Return size at each alpha and median dof within each tissue, and next to the edge between them."""
    geometry = Geometry(np.ones((SIDE,) * 3, bool), np.diag([3.0, 3, 3, 1]))
    n_points, sigma = geometry.n_points, NOISE_MM / FWHM_PER_SIGMA / geometry.voxel_sizes_mm
    place = np.argwhere(geometry.mask)[:, 0]
    halves = []
    for process in setting.extremes():
        noise = process.draw(setting.n_volumes, n_points, setting.rng).reshape(-1, SIDE, SIDE, SIDE)
        noise = gaussian_filter(noise, (0, *sigma), mode="wrap").reshape(-1, n_points)
        halves.append(noise / noise.std())
    is_first = place < SIDE // 2
    intensity = np.where(is_first, 900.0, 600.0) + setting.rng.normal(size=n_points) * 20
    smooth = make_smoother(geometry, fwhm_mm, intensity, np.full(3, NOISE_MM))
    matrix = setting.matrix()
    fitted = setting.fit(matrix, np.where(is_first, *halves), smooth=smooth)
    p, dof = test(estimate_t(fitted, make_contrast(matrix.shape[1])))
    is_edge = np.abs(place - SIDE / 2 + 0.5) < 2
    parts = (is_first & ~is_edge, ~is_first & ~is_edge, is_first & is_edge, ~is_first & is_edge)
    return [[np.mean(p[part] < a) for a in ALPHAS] + [np.median(dof[part])] for part in parts]


TESTS = {
    "f2": lambda setting: test_f(setting, 2),
    "f3": lambda setting: test_f(setting, 3),
    "two-runs": test_two_runs,
    "scrubbed": test_scrubbed,
    **{f"short{n}": lambda setting, n=n: test_short(setting, n) for n in (95, 60)},
    **{f"fixed{n}": lambda setting, n=n: test_fixed(setting, n) for n in (2, 4, 8)},
    **{f"group-{name}": lambda setting, name=name: test_group(setting, name) for name in GROUP},
}


def measure_once(condition, setting):
    """Return size at each alpha and median dof (or what ``precision`` has) of each process."""
    if condition == "precision":
        return compare_precision(setting)
    if condition in SMOOTHING:
        return measure_smoothing(setting, SMOOTHING[condition])
    p, dof = TESTS[condition](setting)
    inside = [setting.which == number for number in range(len(setting.processes))]
    return [[np.mean(p[i] < a) for a in ALPHAS] + [np.median(dof)] for i in inside]


def measure(condition, repetition_time, kind, given):
    """Return rows of one condition, one a process; ``given`` is of the command line."""
    n_series, n_seeds = given.series, given.seeds
    found = []
    for seed in range(n_seeds):
        rng = np.random.default_rng([int(1000 * repetition_time), DESIGNS.index(kind), seed, 1])
        setting = Setting(repetition_time, kind, n_series, rng, given.noise_model)
        found.append(measure_once(condition, setting))
    means = np.mean(found, axis=0)
    about = {"condition": condition, "tr": repetition_time, "design": kind, "noise_model": given.noise_model}
    about["n"] = n_series * n_seeds
    names = [process.name for process in setting.processes]
    if condition in SMOOTHING:
        names = [process.name for process in setting.extremes()]
        names += [f"{name}, at the edge" for name in names]
        about["n"] = SIDE**3 * n_seeds
    return [about | {"process": name, "values": row.tolist()} for name, row in zip(names, means, strict=True)]


def main():
    """Parse the command line; measure and print a line a process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    times = sorted({process.repetition_time for process in LIBRARY}, reverse=True)
    names = [*TESTS, *SMOOTHING, "precision"]
    parser.add_argument("--conditions", nargs="+", default=names, choices=names)
    parser.add_argument("--repetition-times", type=float, nargs="+", default=times, choices=times)
    parser.add_argument("--series", type=int, default=2500, help="of each process and design matrix")
    parser.add_argument("--seeds", type=int, default=4, help="design matrices")
    parser.add_argument("--noise-model", default="auto", help="instead of auto")
    parser.add_argument("--save", help="add the rows to this JSON-lines file")
    given = parser.parse_args()
    print("| condition | TR (s) | noise | design | size at .05 | at .001 | dof | series |")
    print("| --- " * 8 + "|")
    for condition in given.conditions:
        for time in given.repetition_times:
            for kind in DESIGNS:
                for row in measure(condition, time, kind, given):
                    values = " | ".join(f"{value:.4g}" for value in row["values"])
                    print(
                        f"| {condition} | {time:g} | {row['process']} | {kind} | {values} | {row['n']} |",
                        flush=True,
                    )
                    if given.save:
                        with Path(given.save).open("a", encoding="utf-8") as file:
                            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
