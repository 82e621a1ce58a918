"""How a test starts the program of this checkout."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

# A shell would put the path that it found into argv[0]; here a transcript does.
START = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); del sys.argv[0]; " + (
    "from credential_helper.__main__ import main; main()"
)
DEADLINE = 60.0  # seconds a step; generous, nothing here waits
