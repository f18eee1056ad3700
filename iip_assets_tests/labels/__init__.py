"""Tests of labelers and people."""
