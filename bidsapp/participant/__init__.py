"""The participant stage: every subject of a plan, side by side; each run fitted, then combined."""
