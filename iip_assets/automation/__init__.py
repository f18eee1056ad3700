"""Sensors that react to new batches and stale data, the jobs that they start, and alarms."""
