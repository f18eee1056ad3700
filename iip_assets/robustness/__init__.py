"""How far the models hold when images get worse."""
