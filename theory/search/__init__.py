"""Networks trained against the theorems, and what they show."""
