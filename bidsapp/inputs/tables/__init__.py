"""Readers of tables: events, confounds, participants, recordings."""
