"""The figures, by subject: a run, its network, its data; and the report that shows them all."""
