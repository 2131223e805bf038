"""Figures: arrays in, SVG text out. Nothing here reads or writes a file of the output folder."""
