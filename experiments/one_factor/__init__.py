"""The parts of `python -m experiments.one_factor`; `__main__.py` tells the story."""
