"""Readers: datasets, model files, events, confounds, images, estimates."""
