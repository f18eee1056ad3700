"""Tests of the backbone and the embeddings."""
