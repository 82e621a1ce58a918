"""Real providers that run on loopback: Keycloak, Ory Hydra and Dex, from their makers' own releases."""
