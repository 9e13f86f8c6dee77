"""The worker: takes jobs, generates, appends events."""
