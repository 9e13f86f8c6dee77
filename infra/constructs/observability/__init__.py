"""Alarms, metrics, log groups and dashboards."""
