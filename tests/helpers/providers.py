"""A provider to ask, a disk that keeps what it says, and a clock: the world of the tests of discovery."""

from __future__ import annotations

import json
import re
from typing import Any

from credential_helper.model import Profile
from credential_helper.oauth.provider import Provider
from credential_helper.transport.client import Transport
from integration.servers.hostile_provider import HostileProvider
from tests.helpers.clock import FakeClock

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
DAY = 86400.0


class Memory:
    """Documents in memory; what a disk would keep from one process to the next."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def write(self, name: str, document: bytes) -> None:
        self.kept[name] = document

    def change(self, kind: str, **changes: object) -> None:
        """Change members of the one document whose name ends so."""
        (name,) = (name for name in self.kept if re.fullmatch(rf"[0-9a-f]{{64}}\.{re.escape(kind)}", name))
        self.kept[name] = json.dumps({**json.loads(self.kept[name]), **changes}).encode()


class World:
    """One provider, one disk, one clock; every process is a new Provider."""

    def __init__(self, hostile: HostileProvider, clock: FakeClock) -> None:
        self.hostile = hostile
        self.clock = clock
        self.disk = Memory()
        self.notes: list[str] = []

    def process(self, **settings: Any) -> Provider:
        profile = Profile(**{"name": "prod", "issuer": self.hostile.issuer, "client_id": "cli", **settings})
        return Provider(
            profile,
            transport=Transport(clock=self.clock, ca_file=profile.ca_file),
            documents=self.disk,
            clock=self.clock,
            note=self.notes.append,
        )

    def asked(self, path: str = OPENID) -> int:
        return len(self.hostile.to(path))

    def said(self, words: str) -> bool:
        return any(words in line for line in self.notes)
