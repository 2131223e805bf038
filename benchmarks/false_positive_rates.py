"""How often a map of pure noise has a "significant" voxel: the family-wise error rate of every statistic.

    python -m benchmarks.false_positive_rates [--sets 1000] [--shuffles 200] [--peer-sets 200]

Noise of 6 mm FWHM in a sphere of 20 x 20 x 20 voxels of 2 mm, 20 rows; clusters formed at p 0.01, for at
0.001 a volume so small mostly has none. Every rate should lie in the 95 % interval of a binomial share around
0.05. Beside ours: nilearn's ``permuted_ols`` (voxel height and cluster extent) where it can do the design; a
dash where it cannot.
"""

import argparse
import time
import warnings

import numpy as np
from scipy import ndimage, stats

from bidsapp.inference.permutation import permute
from bidsapp.records.maps import Geometry, InferenceOptions

ALPHA, FORMING_P = 0.05, 0.01
STATISTICS = ("height", "extent", "mass", "tfce")
SIDE = 20


def make_geometry():
    """Return a sphere of 3,328 points or so."""
    grid = np.indices((SIDE,) * 3) - (SIDE - 1) / 2
    return Geometry((np.square(grid).sum(axis=0) < 9.26**2), np.diag([2.0, 2.0, 2.0, 1.0]))


def make_noise(rng, geometry, n_rows, *, skewed=False):
    """Return smooth noise (n_rows, n_points), of a skewed distribution if asked for."""
    sigma = 6.0 / 2.355 / 2.0
    volumes = rng.normal(size=(n_rows, *geometry.mask.shape))
    noise = ndimage.gaussian_filter(volumes, (0, sigma, sigma, sigma))[:, geometry.mask]
    noise /= noise.std()
    return np.exp(noise) if skewed else noise


def one_sample(rng, geometry):
    """Return data and design of a mean."""
    return make_noise(rng, geometry, 20), np.ones((20, 1)), None


def two_groups(rng, geometry):
    """Return data and design of 4 against 16 rows of skewed noise."""
    return make_noise(rng, geometry, 20, skewed=True), np.repeat(np.eye(2), [4, 16], axis=0), None


def covariate(rng, geometry):
    """Return data and design of a covariate beside another that correlates with it and has an effect."""
    other = rng.normal(size=20)
    wanted = 0.7 * other + rng.normal(size=20)
    data = make_noise(rng, geometry, 20) + 0.5 * other[:, None]
    return data, np.column_stack([wanted, other, np.ones(20)]), None


def blocks(rng, geometry):
    """Return data and design of a condition within 10 subjects of two maps each."""
    subject = np.repeat(np.arange(10), 2)
    data = make_noise(rng, geometry, 20) + make_noise(rng, geometry, 10)[subject]
    matrix = np.column_stack([np.tile([1.0, -1.0], 10), np.eye(10)[subject]])
    return data, matrix, subject


DESIGNS = {
    "one sample": (one_sample, [1], "ones"),
    "4 v 16, skewed": (two_groups, [1, -1], "groups"),
    "covariate": (covariate, [1, 0, 0], "covariate"),
    "blocks": (blocks, [1, *[0] * 10], ""),
}


def our_hits(data, matrix, weights, rows, how):
    """Return which statistics find anything."""
    geometry, n_shuffles, seed, tail = how
    options = InferenceOptions(
        n_shuffles=n_shuffles,
        seed=seed,
        blocks=rows,
        uncorrected=False,
        cluster_forming_p=FORMING_P,
        tail=tail,
    )
    found = permute(data, matrix, [weights], geometry, options).statistics
    return [np.nanmin(found[name].p_fwe) <= ALPHA for name in STATISTICS]


def peer_hits(data, matrix, kind, how):
    """Return whether nilearn's voxel height and cluster extent find anything."""
    import nibabel
    from nilearn.maskers import NiftiMasker
    from nilearn.mass_univariate import permuted_ols

    geometry, n_shuffles, seed, _ = how
    masker = NiftiMasker(nibabel.Nifti1Image(geometry.mask.astype(np.int8), geometry.affine)).fit()
    tested, confounds = matrix[:, [0]], None
    if kind == "covariate":
        confounds = matrix[:, [1]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = permuted_ols(
            tested, data, confounds, model_intercept=kind != "ones", n_perm=n_shuffles, two_sided_test=True,
            random_state=seed, n_jobs=1, masker=masker, threshold=FORMING_P, output_type="dict",
        )  # fmt: skip
    limit = -np.log10(ALPHA) - 1e-9
    return [found[name].max() >= limit for name in ("logp_max_t", "logp_max_size")]


def measure(name, n_sets, n_peer, n_shuffles):
    """Return our rates and nilearn's (None where it cannot do the design) for one design."""
    make, weights, kind = DESIGNS[name]
    geometry = make_geometry()
    ours, peer = [], []
    for index in range(n_sets):
        rng = np.random.default_rng([7, list(DESIGNS).index(name), index])
        data, matrix, rows = make(rng, geometry)
        how = (geometry, n_shuffles, index, "two")
        ours.append(our_hits(data, matrix, weights, rows, how))
        if kind and index < n_peer:
            peer.append(peer_hits(data, matrix, kind, how))
    return np.mean(ours, axis=0), np.mean(peer, axis=0) if peer else None


def interval(n_sets, level=0.95):
    """Return the binomial interval of a rate of alpha over so many sets."""
    return np.array(stats.binom.interval(level, n_sets, ALPHA)) / n_sets


def main():
    """Print a row a design."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--peer-sets", type=int, default=200)
    parser.add_argument("--shuffles", type=int, default=200)
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    given = parser.parse_args()
    low, high = interval(given.sets)
    print(f"{given.sets} null sets, {given.shuffles} shuffles; binomial interval {low:.3f} to {high:.3f}")
    print(
        f"{'':16}" + "".join(f"{name:>9}" for name in STATISTICS) + f"{'nilearn height, extent':>26}{'s':>8}"
    )
    for name in given.designs:
        start = time.perf_counter()
        ours, peer = measure(name, given.sets, given.peer_sets, given.shuffles)
        beside = "-" if peer is None else f"{peer[0]:.3f}, {peer[1]:.3f}"
        seconds = time.perf_counter() - start
        print(
            f"{name:16}" + "".join(f"{rate:9.3f}" for rate in ours) + f"{beside:>26}{seconds:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
