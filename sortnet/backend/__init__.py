"""The native kernels behind their C ABI, as PyTorch operators, and their slow references."""
