"""A person whose token does not live long, and a kept answer with it that is due to be renewed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from integration.clients.programs import Runner
from integration.scenes.homes import NOBODY
from integration.scenes.sign_ins import person, sign_in, write_profiles
from integration.servers.oidc import CLI, Face
from tests.helpers.programs import Result

LIFETIME = 400  # seconds; such a token is answered for 335, and renewed ahead from 251 on
DUE = 260
PAST = 150  # after which a due one has expired
LISTED = {"git": ["https://git.example.com"], "docker": ["registry.example.com"]}


def state(home: Mapping[str, str]) -> Path:
    """Return the state directory of a home."""
    return Path(home["XDG_STATE_HOME"], "credential-helper")


def age(home: Mapping[str, str], seconds: float) -> None:
    """Let the only session, and the answers that were kept of it, have been made that long ago."""
    (file,) = state(home).glob("sessions/*.json")
    document = json.loads(file.read_bytes())
    for kind in ("access", "id"):
        if document["session"].get(kind):
            document["session"][kind]["received_at"] -= seconds
            if document["session"][kind]["expires_at"] is not None:
                document["session"][kind]["expires_at"] -= seconds
    file.write_text(json.dumps(document))
    for reply in state(home).glob("replies/*"):
        reply.unlink()


def begin(run: Runner, face: Face, home: Mapping[str, str], *, lifetime: int = LIFETIME, **settings: object) -> None:
    """Sign a person in whose tokens live so many seconds, and forget the requests for it."""
    face.configure(CLI, access_token_ttl=lifetime)
    profile = {"flow": "device", "renew": "ahead", "store": "file", **LISTED, **settings}
    write_profiles(home, prod=person(face, **profile))  # type: ignore[arg-type]
    sign_in(run, face, "prod")
    face.reset_counts()


def token(run: Runner) -> Result:
    """Ask for a token where nobody can be asked; it is had without a word."""
    done = run("token", "prod", env=NOBODY)
    assert (done.code, done.stderr) == (0, ""), done
    return done


def due(run: Runner, home: Mapping[str, str]) -> str:
    """Let the token be due, and an answer with it be kept."""
    age(home, DUE)
    return token(run).text.strip()
