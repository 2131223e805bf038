"""Compiled loops; nothing here imports another part."""
