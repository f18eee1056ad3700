"""The verbs of `iip`: each parses what was typed, calls a room, prints."""
