"""`python -m benchmarks engine`: an engine asked through Axon, and asked directly."""
