"""One file per endpoint or grant, named as the RFCs name them."""
