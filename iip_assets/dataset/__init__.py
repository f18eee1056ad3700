"""The images and what is said about them: manifest, batches, duplicates, splits, slices."""
