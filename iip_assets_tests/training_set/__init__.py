"""Tests of the training_set room."""
