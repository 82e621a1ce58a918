"""The single place that opens a connection."""
