"""How well a model does its work."""
