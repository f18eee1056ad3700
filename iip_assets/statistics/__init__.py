"""What can be measured without a model: light, background, detail, iris quality, people."""
