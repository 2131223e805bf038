"""Every quantity, statistic, threshold and estimator by name, with its words; imports nothing."""
