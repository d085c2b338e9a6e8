"""Scaling laws of one variable, one file a law. ``names`` needs no NumPy; ``registry`` has the laws themselves."""
