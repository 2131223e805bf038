"""The plan of the participant stage: runs, their tables, masks and confounds."""
