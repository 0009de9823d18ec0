"""TinySchiller: learn to predict the next character of Schiller's plays, and write."""
