"""Requests as the tools make them, their manners with them."""

from __future__ import annotations

from typing import Any

from credential_helper.model import Manners, Request
from credential_helper.tools import docker, git, kubectl

MANNERS = {"kubectl": kubectl.MANNERS, "git": git.MANNERS, "docker": docker.MANNERS}


def request_by(tool: str, **wishes: Any) -> Request:
    return Request(tool=tool, manners=MANNERS.get(tool, Manners()), **wishes)
