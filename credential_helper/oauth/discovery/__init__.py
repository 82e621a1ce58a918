"""What a provider publishes of itself (OpenID Connect Discovery 1.0, RFC 8414, RFC 7517), and what is kept of it."""
