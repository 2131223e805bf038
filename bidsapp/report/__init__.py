"""Records and maps to pages: what a reader of the results sees."""
