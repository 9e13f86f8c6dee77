"""Thousands of responses expire at once: how fast relays end them."""
