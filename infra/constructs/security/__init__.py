"""Permissions, and the findings that are accepted on purpose."""
