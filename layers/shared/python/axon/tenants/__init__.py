"""Tenants: who may ask, and the API keys that prove it."""
