"""One file an endpoint or a grant, named as the RFCs name them."""
