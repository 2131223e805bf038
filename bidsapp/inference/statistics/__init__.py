"""One file per statistic of a map."""
