"""The design of the group level: from a table of subjects to a matrix and weights."""
