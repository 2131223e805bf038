"""The records of finished work: an object for each, written and read here alone (docs/records.md)."""
