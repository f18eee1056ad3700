"""The backbone, and one embedding a picture."""
