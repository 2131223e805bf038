"""Array kernels: shuffles, permutation engine, clusters, thresholds."""
