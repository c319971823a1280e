"""The table of all results, its rows, its figures; the Coq proofs and trained models under it."""
