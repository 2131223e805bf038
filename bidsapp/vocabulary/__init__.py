"""Every quantity, statistic, threshold, estimator and noise model by name, in words; imports nothing."""
