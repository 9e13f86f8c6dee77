"""Directories of what is alive: relays, workers, models, client connections."""
