"""The pipeline report: what it says, and the page."""
