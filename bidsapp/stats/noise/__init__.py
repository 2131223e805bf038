"""The noise of a run: models over time, their likelihood, and what their estimation costs a test."""
