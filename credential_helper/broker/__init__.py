"""How a credential is obtained, step by step. Start reading at ``obtain``."""
