"""Real components, or a skip that names what is missing.

CREDENTIAL_HELPER_REQUIRE_REAL=1 (CI) turns the skip into a failure: a green run there means that nothing was left out.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn


def need(program: str) -> str:
    """Return the absolute path of a program on PATH; skip the test, or fail it where everything must be there."""
    path = shutil.which(program)
    if path is None:
        missing(f"{program} is not installed")
    return os.path.abspath(path)


def missing(what: str) -> NoReturn:
    """Skip the running test because of what is missing, or fail it where everything must be there."""
    import pytest  # the bench begins from the same scenes, and runs without it

    if os.environ.get("CREDENTIAL_HELPER_REQUIRE_REAL") == "1":
        pytest.fail(f"{what} (CREDENTIAL_HELPER_REQUIRE_REAL=1)", pytrace=False)
    pytest.skip(what)
