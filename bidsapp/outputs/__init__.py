"""The output folder: images, tables, sidecars and records, written and read back."""
