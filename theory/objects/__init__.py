"""What theorems are about: exact numbers, functions, networks, their drawing; what a result is."""
