"""Which profile serves a request, and how it came about."""
