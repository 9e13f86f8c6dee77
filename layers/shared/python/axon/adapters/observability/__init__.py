"""Health, metrics and traces of a process."""
