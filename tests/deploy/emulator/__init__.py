"""AWS on this machine: ministack, and beside it what it lacks.

Runs in an environment of its own (see ``tests.deploy.environment``); nothing but ``plan`` is
imported by the test.
"""
