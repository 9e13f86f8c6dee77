"""Queues, buckets, Valkey and PostgreSQL."""
