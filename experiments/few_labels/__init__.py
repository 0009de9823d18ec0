"""The parts of `python -m experiments.few_labels`; `__main__.py` tells the story."""
