"""Certifying more data than one machine holds: a picklable certifier, and jobs over Parquet."""
