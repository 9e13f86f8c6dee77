"""Shapes of answers: types that describe them, one module for each API.

Nothing is validated with them at run time. Tests hold real answers against them, with no field
more than they have.
"""
