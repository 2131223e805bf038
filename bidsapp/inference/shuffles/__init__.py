"""Shuffles."""
