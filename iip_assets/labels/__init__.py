"""Several labelers: their agreement, and people as a level to compare models with."""
