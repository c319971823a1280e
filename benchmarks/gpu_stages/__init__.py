"""The stages of benchmarks/gpu.py, what they measure with, and what becomes of their rows.

Each stage takes a `Setup` and writes rows to a `Record`; `stages.STAGES` lists them all.
"""
