"""Whom the models fail: by group, what helps and at what price, and what can be promised."""
