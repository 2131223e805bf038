"""The transformations of BIDS Stats Models, applied to columns of a run."""
