"""Attempts at jobs, and what follows from how they end."""
