"""Cluster, peak and atlas-label tables."""
