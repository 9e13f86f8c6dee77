"""The local cloud's parts: what runs, with which configuration, where."""
