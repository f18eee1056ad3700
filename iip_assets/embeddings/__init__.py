"""The backbone, and one embedding an image."""
