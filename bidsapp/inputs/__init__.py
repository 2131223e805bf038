"""Readers of what is on disk: datasets, tables, images, estimates."""
