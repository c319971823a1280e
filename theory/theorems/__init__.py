"""One file per result: its statement, its construction, its check."""
