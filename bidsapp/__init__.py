"""TaskGLM: a BIDS App for task-fMRI statistics."""
