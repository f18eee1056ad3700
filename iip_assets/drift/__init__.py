"""Drift: how the newest batch differs from the data that the models were trained on."""
