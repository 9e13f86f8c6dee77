"""The routes of the front, one module for each API."""
