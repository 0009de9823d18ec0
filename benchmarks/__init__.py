"""How good and how fast are our recipes? Each file answers one question, and is a program."""
