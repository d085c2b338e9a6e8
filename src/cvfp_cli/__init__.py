"""cvfp-cli: train context-vector fixed-point language models, sweep them, fit scaling laws, report."""

__version__ = "0.1.0"
