"""What is driven: the installed program, a browser, real programs."""
