"""Alarms, metrics, logs and dashboards."""
