"""Tests of the pipeline report."""
