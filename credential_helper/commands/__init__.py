"""What people type, one file per command. They talk on stderr; only status and secret have a stdout."""
