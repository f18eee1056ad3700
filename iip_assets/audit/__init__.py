"""What helps and what harms: batches, labels, errors, and what to label next."""
