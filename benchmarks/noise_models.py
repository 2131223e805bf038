"""Size of the run-level t test under each noise model, and nilearn's, on simulated AR(1) noise.

``python -m benchmarks.noise_models``: 150 volumes, 25 regressors (a block regressor, motion-like random
walks, slow cosines), noise of autocorrelation 0.4, no effect; the share of p < .05 must be near .05.
"""

import argparse

import numpy as np
from nilearn.glm.contrasts import compute_contrast
from nilearn.glm.first_level import run_glm
from scipy import stats

from bidsapp.records import Contrast
from bidsapp.stats.autocorrelation import count_lags
from bidsapp.stats.run_glm import estimate_t, fit_run_glm
from bidsapp.stats.series_sums import accumulate
from bidsapp.stats.time_model import make_time_model

N_VOLUMES, N_COLUMNS, RHO = 150, 25, 0.4
NOISE_MODELS = ("ols", "ar1", "ar1-reml", "ar2", "ar4")
# Between these the size of ar1-reml must lie.
WANTED = (0.04, 0.07)


def make_matrix(rng):
    """Return blocks of 10 volumes as the first column, then random walks, then cosines with a constant."""
    blocks = (np.arange(N_VOLUMES) // 10) % 2 - 0.5
    cosines = np.cos(np.outer(np.arange(N_VOLUMES) + 0.5, np.arange(6)) * np.pi / N_VOLUMES)
    walks = rng.normal(size=(N_VOLUMES, N_COLUMNS - 7)).cumsum(axis=0)
    return np.column_stack([blocks, walks, cosines])


def make_noise(rng, n_voxels, rho=RHO):
    """Return stationary AR(1) noise, shape (n_volumes, n_voxels)."""
    noise = rng.normal(size=(N_VOLUMES, n_voxels))
    noise[0] /= np.sqrt(1 - rho**2)
    for volume in range(1, N_VOLUMES):
        noise[volume] += rho * noise[volume - 1]
    return noise


def t_values_of(noise, matrix, noise_model):
    """Return t of the first column by our engine, and the mean first coefficient."""
    lags = count_lags(noise_model)
    sums = accumulate([1000 + noise], make_time_model(matrix), n_lags=lags, scaling="none")
    fitted = fit_run_glm(sums, noise_model=noise_model)
    columns = tuple(map(str, range(N_COLUMNS)))
    estimate = estimate_t(fitted, Contrast("first", "t", columns, np.eye(N_COLUMNS)[:1]))
    rho = fitted.autocorrelation[0].mean() if lags else 0.0
    return estimate.effect / np.sqrt(estimate.variance), rho


def simulate(n_designs=20, n_voxels=1000, seed=0):
    """Return the size and the mean coefficient of every noise model, over several designs."""
    rng = np.random.default_rng(seed)
    found = {name: [] for name in ("nilearn ar1", *NOISE_MODELS)}
    for _ in range(n_designs):
        matrix, noise = make_matrix(rng), make_noise(rng, n_voxels)
        theirs = compute_contrast(*run_glm(1000 + noise, matrix, "ar1"), np.eye(N_COLUMNS)[0])
        found["nilearn ar1"].append((size_of(theirs.stat()), np.nan))
        for name in NOISE_MODELS:
            t, rho = t_values_of(noise, matrix, name)
            found[name].append((size_of(t), rho))
    return {name: np.mean(values, axis=0) for name, values in found.items()}


def size_of(t):
    """Return the share of t with a two-sided p below .05."""
    return np.mean(2 * stats.t.sf(np.abs(t), N_VOLUMES - N_COLUMNS) < 0.05)


def main():
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--designs", type=int, default=20)
    parser.add_argument("--voxels", type=int, default=1000)
    arguments = parser.parse_args()
    found = simulate(arguments.designs, arguments.voxels)
    print(
        f"{arguments.designs} designs x {arguments.voxels} voxels, true coefficient {RHO}, nominal size .05"
    )
    for name, (size, rho) in found.items():
        print(f"{name:12} size {size:.4f}   mean first coefficient {rho:.3f}")
    low, high = WANTED
    verdict = "holds" if low < found["ar1-reml"][0] < high else "FAILS"
    print(f"ar1-reml between {low} and {high}: {verdict}")


if __name__ == "__main__":
    main()
