"""Engines: one protocol (`protocol`), and one package for each engine.

Nothing is imported here: child processes of engines import single modules, and start with them.
"""
