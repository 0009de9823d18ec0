"""What programs share that make many runs: studies, timed runs, costs, summaries and tables."""
