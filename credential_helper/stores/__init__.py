"""What is kept: sessions, public documents of providers, the keyring, and the lock."""
