"""`python -m benchmarks overload`: more requests at once than a slow engine can answer in time."""
