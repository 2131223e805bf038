"""The linked view of a group contrast: slices, cortex, table and the subjects' effects under one cross-hair."""
