"""The engine's Dagster side: definitions, runs, the instance, its event log."""
