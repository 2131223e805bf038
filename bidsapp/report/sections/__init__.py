"""One file per report section."""
