"""Questions put to the program: `python -m experiments.speedrun`; `many_runs` is their library."""
