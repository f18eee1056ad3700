"""Tests of what is compared and traced."""
