"""Text in; token streams and embedding tables out. NumPy arrays only: never imports torch."""
