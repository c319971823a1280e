"""Units of radii and files written whole: no array library but numpy, no torch."""
