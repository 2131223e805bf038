"""The estimators of the group level, one a file, and what a fit says besides."""
