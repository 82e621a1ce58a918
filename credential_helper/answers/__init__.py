"""How a call by a tool is answered."""
