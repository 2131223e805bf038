"""Array kernels: run GLM, fixed effects, group GLM, distributions."""
