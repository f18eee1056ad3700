"""Rendered eyes with known truth: the shipped sample, tests and scale runs."""
