"""The words that the filter knows, and what whoever is judged beside a model is called."""

from __future__ import annotations

FILTER_CLASSES = ("full", "partial", "none")
"""What the filter tells apart. Nothing is trained on images labelled `unclear`."""

HUMAN = "_human"
"""`filter_human` is what labelers reach when each is judged by the words of the others."""

BESIDE_HUMAN = "_beside_human"
"""`filter_beside_human` is the filter, judged by those very words on those very images."""
