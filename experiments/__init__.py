"""One question per file: python -m experiments.NAME."""
