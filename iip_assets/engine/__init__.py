"""Compute or reuse: actions, artifacts, feature tables, code keys, refresh. Knows nothing of eyes."""
