"""One runnable file a question: `python -m experiments.NAME`."""
