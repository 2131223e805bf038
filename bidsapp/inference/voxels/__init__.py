"""Voxels."""
