"""The words that the filter knows."""

from __future__ import annotations

FILTER_CLASSES = ("full", "partial", "none")
"""What the filter tells apart. Nothing is trained on pictures labelled `unclear`."""
