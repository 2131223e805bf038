"""One file per threshold."""
