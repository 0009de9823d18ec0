"""The parts of `python -m experiments.sweep`; `__main__.py` tells the story."""
