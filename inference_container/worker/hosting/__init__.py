"""Several models in one worker: an engine each, loaded and unloaded while others serve."""
