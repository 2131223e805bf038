"""Compiled loops; nothing here imports another part but for the names of arrays."""
