"""Compute or reuse: actions, artifacts, feature tables, code keys, refresh. Knows no eyes."""
