"""How far the models hold when pictures get worse."""
