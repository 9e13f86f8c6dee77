"""Tools for working on this repository: the import graph and the tests of a change."""
