"""Size of the default noise model with other noise and repetition times than those of ``noise_models``.

    python -m benchmarks.noise_others [--repetition-times 0.35 3] [--series 1000] [--seeds 4]

The processes are not fitted to data: they are made to be unlike those of ``noise_library`` (moving averages,
oscillations, other exponents, narrow peaks that are aliased, drifts). Designs are those of ``noise_models``,
and a finite impulse response to the events over 12 s, whose F test is of all its columns.
"""

import argparse

import numpy as np
from scipy import stats

from benchmarks.noise_conditions import fit, make_contrast, test
from benchmarks.noise_library import Process
from benchmarks.noise_models import ALPHAS, OTHER_SECONDS, SECONDS, make_matrix
from bidsapp.stats.noise.time_model import make_time_model
from bidsapp.stats.run.glm import estimate_f, estimate_t
from bidsapp.stats.run.maps import joint_f

TIMES = (3.0, 2.5, 1.5, 1.1, 0.6, 0.35)
FIR_SECONDS, LEAST_EVENT = 12.0, 8.0


def make_processes(repetition_time):
    """Return processes that are sampled every so many seconds."""
    kept = float(np.exp(-repetition_time / 6.0))
    turn = 2 * np.cos(2 * np.pi * 0.1 * min(repetition_time, 2.5))
    parts = {
        "ARMA(1, 1)": ((1.0, "arma", (0.8,), (-0.5,)),),
        "MA(2)": ((1.0, "arma", (), (0.6, 0.3)),),
        "AR(1), negative": ((1.0, "arma", (-0.3,), ()),),
        "oscillation at 0.1 Hz": ((1.0, "arma", (0.8 * turn, -0.64), ()),),
        "decay of 6 s and white": ((0.7, "ar1", kept),),
        "1/f and white": ((0.6, "scale-free", 1.0),),
        "1/f^0.5 and white": ((0.8, "scale-free", 0.5),),
        "1/f^1.3 and white": ((0.5, "scale-free", 1.3),),
        "breathing, narrow": ((0.2, "slow", 0.05, 1.3), (0.3, "peak", 0.25, 0.015)),
        "heart, narrow": ((0.2, "slow", 0.05, 1.3), (0.3, "peak", 1.1, 0.03)),
        "drift and white": ((0.5, "slow", 0.01, 2.0),),
    }
    return [Process(name, repetition_time, of_process) for name, of_process in parts.items()]


def make_response(n_volumes, repetition_time, rng):
    """Return sticks of events, one column for each delay up to 12 s."""
    n_delays = min(max(int(FIR_SECONDS / max(repetition_time, 2.0)), 2), 6)
    step = round(max(repetition_time, 2.0) / repetition_time)
    onsets = np.cumsum(LEAST_EVENT + rng.exponential(LEAST_EVENT, n_volumes))
    first = np.zeros(n_volumes)
    volumes = (onsets / repetition_time).astype(int)
    first[volumes[volumes < n_volumes - 1]] = 1.0
    delayed = [np.concatenate([np.zeros(step * k), first])[:n_volumes] for k in range(n_delays)]
    return np.column_stack([sum(np.roll(column, j) for j in range(step)) for column in delayed])


def p_values_of(kind, series, repetition_time, rng):
    """Return the p-values of one design."""
    matrix = make_matrix("events" if kind == "fir" else kind, repetition_time, len(series), rng)
    if kind == "fir":
        response = make_response(len(series), repetition_time, rng)
        matrix = np.column_stack([response, matrix[:, 1:]])
    fitted = fit(make_time_model(matrix), series, repetition_time)
    if kind != "fir":
        return test(estimate_t(fitted, make_contrast(matrix.shape[1])))[0]
    n_rows = response.shape[1]
    joint = estimate_f(fitted, make_contrast(matrix.shape[1], n_rows))
    return stats.f.sf(joint_f(joint.effect, joint.covariance), n_rows, joint.dof)


def measure(kind, repetition_time, n_series, n_seeds):
    """Return the size at each alpha of every process, shape (n_processes, n_alphas)."""
    processes = make_processes(repetition_time)
    n_volumes = round(SECONDS.get(repetition_time, OTHER_SECONDS) / repetition_time)
    found = []
    for seed in range(n_seeds):
        rng = np.random.default_rng([int(1000 * repetition_time), len(kind), seed, 2])
        order = rng.permutation(n_series * len(processes))
        series = np.concatenate([p.draw(n_volumes, n_series, rng) for p in processes], axis=1)[:, order]
        p = p_values_of(kind, series, repetition_time, rng)
        which = order // n_series
        found.append([[np.mean(p[which == i] < a) for a in ALPHAS] for i in range(len(processes))])
    return processes, np.mean(found, axis=0)


def main():
    """Parse the command line; measure and print a line a process and design."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repetition-times", type=float, nargs="+", default=TIMES)
    parser.add_argument("--series", type=int, default=1000, help="of each process and design matrix")
    parser.add_argument("--seeds", type=int, default=4, help="design matrices")
    given = parser.parse_args()
    print("| TR (s) | noise | design | size at .05 | at .001 |")
    print("| --- " * 5 + "|")
    for time in given.repetition_times:
        for kind in ("blocks", "events", "fir"):
            for process, size in zip(*measure(kind, time, given.series, given.seeds), strict=True):
                print(f"| {time:g} | {process.name} | {kind} | {size[0]:.3f} | {size[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
