"""Scaling laws, fits, intervals, selection and comparison. NumPy and SciPy: never imports torch."""
