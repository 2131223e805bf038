"""A run and what is made of runs: generalised least squares, its maps, fixed effects over runs."""
