"""The sections of the page of a group contrast."""
