"""The `sortnet` command: one file per command, shared options, tables and plots.

The composition root: it may import every folder, and loads each only when a command runs.
"""
