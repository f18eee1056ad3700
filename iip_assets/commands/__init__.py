"""The verbs of `iip`: each parses what was typed, calls one function of a room, prints."""
