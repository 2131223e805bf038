"""The linked view of a group contrast: slices, cortex, tables and subjects' effects at one cross-hair."""
