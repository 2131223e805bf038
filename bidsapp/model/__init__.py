"""The BIDS Stats Model: read, checked, brought to today's form; ``python -m bidsapp.model``."""
