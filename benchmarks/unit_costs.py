"""Seconds of a core for 1,000 shuffles of 100,000 voxels: the unit costs of docs/scaling.md.

    OMP_NUM_THREADS=1 python -m benchmarks.unit_costs

Noise in 100,000 voxels, a one-sample test, one thread; processor time, so that other work does not count.
Compilation is done before.
"""

import time

import numpy as np

from bidsapp.inference.permutation import permute
from bidsapp.records.maps import Geometry, InferenceOptions

SHAPE = (50, 50, 40)
N_SHUFFLES = 1000
CASES = {"maximum t": ("height",), "TFCE": ("height", "tfce")}


def main():
    """Print the table."""
    geometry = Geometry(np.ones(SHAPE, bool), np.eye(4))
    rng = np.random.default_rng(0)
    print("statistic\tsubjects\tseconds")
    for n_subjects in (100, 1000):
        effects = rng.standard_normal((n_subjects, geometry.n_points), np.float32)
        for name, statistics in CASES.items():
            seconds = [shuffle(effects, geometry, statistics, count) for count in (8, N_SHUFFLES)]
            print(f"{name}\t{n_subjects}\t{seconds[1]:.2f}", flush=True)


def shuffle(effects, geometry, statistics, n_shuffles):
    """Return the processor time of a one-sample test."""
    options = InferenceOptions(n_shuffles=n_shuffles, statistics=statistics, alpha=0.5, n_threads=1)
    design = np.ones((len(effects), 1)), np.ones((1, 1))
    start = time.process_time()
    permute(effects, *design, geometry, options)
    return time.process_time() - start


if __name__ == "__main__":
    main()
