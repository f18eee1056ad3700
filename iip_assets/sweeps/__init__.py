"""Searches over settings: many trainings of one model, each an action that is done only once."""
