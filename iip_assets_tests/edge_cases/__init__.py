"""Tests of the map, the clusters and the contact sheets."""
