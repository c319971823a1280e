"""Certificates of torch models, attacks, and accuracy."""
