"""Edge cases: the map of all images, clusters of similar ones, and what lies apart."""
