"""`python -m benchmarks streams`: many open streams at a time, and many that idle."""
