"""What answers on loopback."""
