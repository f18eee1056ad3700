"""Tests of the rendered eyes."""
