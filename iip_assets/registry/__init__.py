"""Versions of the models: registering, comparing, the promotion gate, predicting."""
