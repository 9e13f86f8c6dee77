"""Benchmarks (`make bench`): Axon and its peers, under the same load, on the same machine."""
