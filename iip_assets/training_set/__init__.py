"""What the models learn from: which images, and how much each one weighs."""
