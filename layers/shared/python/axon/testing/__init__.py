"""Fakes for unit tests; they pass the same contract tests as the real adapters."""
