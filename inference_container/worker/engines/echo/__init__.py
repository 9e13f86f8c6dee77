"""Echo engine: repeats or counts, for tests, demonstrations and load."""
