"""Measuring speed and accuracy side by side: `python -m benchmarks.NAME`."""
