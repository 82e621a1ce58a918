"""Imports that wait (PEP 810): what Python 3.15 does with what we say, and older ones, which know nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from integration.servers.hostile_provider import HostileProvider, answer
from tests.helpers.programs import CHECKOUT

PLAYED = """
import json, sys; sys.path.insert(0, sys.argv[1])
from credential_helper import lazy
asked = []
sys.set_lazy_imports_filter = lambda may_wait: asked.append(may_wait)
sys.set_lazy_imports = lambda mode: asked.append(mode)
lazy.begin()
may_wait, mode = asked
names = ("msgspec", "truststore", "truststore._api", "requests.compat", "requests", "urllib3.util", "requestsx")
print(json.dumps([mode, [name for name in names if may_wait("credential_helper.cli", name, None)]]))
"""

SIGNED_IN = """
import sys; sys.path.insert(0, sys.argv[1])
from credential_helper import lazy
lazy.begin()
from credential_helper.system.clock import SystemClock
from credential_helper.transport.client import Transport
_, _, url, ca_file, file = sys.argv
print(Transport(clock=SystemClock(), environ={"SSL_CERT_FILE": file} if file else {}, ca_file=ca_file).get(url).status)
if hasattr(sys, "set_lazy_imports"):
    assert sys.get_lazy_imports() == "all"
"""


def said(program: str, *argv: str, **environ: str) -> str:
    command = [sys.executable, "-c", program, str(CHECKOUT), *argv]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.strip()


def test_what_cannot_wait_does_not() -> None:
    assert json.loads(said(PLAYED)) == ["all", ["msgspec", "urllib3.util", "requestsx"]]


@pytest.mark.skipif(hasattr(sys, "set_lazy_imports"), reason="this Python can do it")
def test_a_python_that_cannot_is_asked_nothing() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); from credential_helper import lazy; print(lazy.begin())"
    assert said(program) == "None"


@pytest.mark.parametrize("mode", ["normal", "all"])
@pytest.mark.parametrize("by", ["folder", "truststore"])
def test_a_server_is_asked_whatever_the_callers_environment_says_of_imports(mode: str, by: str) -> None:
    with HostileProvider(tls="good") as provider:
        provider.script("/x", answer({}))
        file = provider.ca_file if by == "truststore" else ""
        argv = (f"{provider.url}/x", provider.ca_file, file)
        assert said(SIGNED_IN, *argv, PYTHON_LAZY_IMPORTS=mode) == "200"
