"""One file a wire format: read a request, render an answer, decline."""
