"""The whole graph on rendered eyes."""
