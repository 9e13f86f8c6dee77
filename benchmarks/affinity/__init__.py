"""`python -m benchmarks affinity`: what it is worth that a conversation stays with its worker."""
