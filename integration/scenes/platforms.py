"""A platform that gives its jobs tokens, and a provider that trusts it."""

from __future__ import annotations

import time
import uuid

from integration.servers.hostile_provider import signing_key
from integration.servers.oidc import Face

ISSUER = "https://token.platform.example"
JOB = "repo:acme/shop:ref:refs/heads/main"


class Platform:
    """It has a key; what it says of a job is what a test says."""

    def __init__(self) -> None:
        self.key = signing_key("RS256", "platform-1")

    def trust(self, face: Face) -> None:
        """Have a provider take the tokens of this platform for what they are."""
        face.configure(platform={"issuer": ISSUER, "keys": [self.key.jwk()]})

    def token(self, face: Face, **claims: object) -> str:
        """Return a token that is for the provider, and lives ten minutes."""
        said = {"iss": ISSUER, "sub": JOB, "aud": face.issuer, "jti": uuid.uuid4().hex, "iat": int(time.time())}
        return self.key.sign({**said, "exp": int(time.time()) + 600, **claims})
