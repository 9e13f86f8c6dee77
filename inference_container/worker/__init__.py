"""The worker: receives jobs, generates answers, appends their events."""
