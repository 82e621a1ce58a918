"""One person and five servers, each of which wants a token of its own: three clusters, a git server, a registry."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import jwt

from integration.clients.real import need
from integration.scenes.homes import NOBODY, Home
from integration.scenes.sign_ins import asked, prompts
from integration.servers.oidc import CLI, Face, Recorded
from tests.helpers.programs import Options, Result, Running

KUBE = "https://kubernetes.example.com"  # the profile's own
GIT = "https://git.example.com/api"
REGISTRY = "https://registry.example.com/api"
ONE, TWO = "https://one.example.com/api", "https://two.example.com/api"
ALL = (KUBE, GIT, REGISTRY, ONE, TWO)

LATER = 'while [ ! -e "$1" ]; do sleep 0.02; done; shift; exec "$@"'


def audience(token: str) -> set[str]:
    """Return whom a JWT is for; empty for what is none."""
    try:
        found = jwt.decode(token, options={"verify_signature": False}).get("aud", ())
    except jwt.DecodeError:
        return set()
    return {found} if isinstance(found, str) else set(found)


def prod(face: Face, *, key: str = "resource", **more: object) -> dict[str, object]:
    """Return a profile that lists every server, by ``resource`` (RFC 8707) or ``audience`` (Auth0)."""
    hosts = {GIT: "https://git.example.com", ONE: "https://one.example.com", TWO: "https://two.example.com"}
    entries = [{"url": host, key: value} for value, host in hosts.items()]
    docker = [{"server": "registry.example.com", key: REGISTRY}]
    listed = {key: KUBE, "git": entries, "docker": docker}
    return {"issuer": face.issuer, "client_id": CLI, "store": "file", **listed, **more}


class Desk(Home):
    """A person's home with profiles that list servers."""

    by = "resource"  # by which a token's purpose is said; of Auth0 ``audience``

    def lay(self, **profiles: dict[str, object]) -> None:
        """Write the config file."""
        path = Path(self.environ["XDG_CONFIG_HOME"], "credential-helper", "config.toml")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines: list[str] = []
        for name, settings in profiles.items():
            lines += [f"[profiles.{name}]", *(f"{key} = {_toml(value)}" for key, value in settings.items())]
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)

    # --- signing in ---

    def begin(self, face: Face, **more: object) -> None:
        """Lay a profile that lists every server, and sign in for its own cluster alone."""
        self.lay(prod=prod(face, key=self.by, **more))
        self.sign_in_for(face, KUBE)
        face.reset_counts()

    def sign_in_for(self, face: Face, purpose: str, *, told: str | None = None) -> str:
        """Ask for a token, which costs a sign-in; return it. ``told``: all that is said before the prompt."""
        running = self.run.start(*self.words(purpose), terminal=True)
        face.approve(asked(running))
        done = running.finish()
        assert done.code == 0, done
        assert prompts(done.terminal) == 1, done
        before = done.terminal.partition("credential-helper: signing in to prod")[0]
        assert before == (f"credential-helper: {told}\n" if told else ""), done
        assert purpose in audience(done.text.strip()), done
        return done.text.strip()

    # --- asking for tokens ---

    def words(self, purpose: str, profile: str = "prod") -> tuple[str, ...]:
        """Return the arguments that ask for the token of one server."""
        return ("token", profile, f"--{self.by}", purpose)

    def ask(self, purpose: str, profile: str = "prod", **options: Unpack[Options]) -> Result:
        """Ask for a token where nobody can be asked, unless ``options`` say otherwise."""
        return self.run(*self.words(purpose, profile), **({"env": NOBODY} | options))

    def token(self, purpose: str, profile: str = "prod") -> str:
        """Return the token of one server, which is had without a word."""
        done = self.ask(purpose, profile)
        assert (done.code, done.stderr) == (0, ""), done
        assert purpose in audience(done.text.strip()), done
        return done.text.strip()

    @contextlib.contextmanager
    def at_once(self, *purposes: str) -> Iterator[list[Running]]:
        """Start a process for each purpose; they begin together when the block ends, and nobody can be asked."""
        go = self.folder / "go"
        shell = [need("sh"), "-c", LATER, "sh", str(go), str(self.run.executable)]
        yield [self.launcher.start([*shell, *self.words(one)], env=NOBODY) for one in purposes]
        go.touch()

    # --- what is kept ---

    def kept(self) -> list[Path]:
        """Return the files of all sessions."""
        return sorted(self.sessions.glob("*.json"))

    def purposes(self) -> list[str]:
        """Return what the kept tokens say that they are for, in order."""
        documents = [json.loads(file.read_bytes())["session"] for file in self.kept()]
        return sorted(one["audience"] or " ".join(one["resource"]) for one in documents)

    def expire_all(self, *, but: Sequence[str] = ()) -> None:
        """Let the tokens of all sessions, but those for some purposes, have expired an hour ago."""
        for file in self.kept():
            document = json.loads(file.read_bytes())
            session = document["session"]
            if {session["audience"], *session["resource"]} & set(but):
                continue
            for kind in ("access", "id"):
                if session.get(kind):
                    session[kind] |= {"received_at": time.time() - 7200, "expires_at": time.time() - 3600}
            file.write_text(json.dumps(document))

    def arrives(self, token: str) -> bool:
        """Say whether a token stands in any file of the state directory, a half written one too."""
        return any(token.encode() in file.read_bytes() for file in self.state.rglob("*") if file.is_file())


def asked_for(request: Recorded) -> str | None:
    """Return the one thing that a request names, by resource or audience; None where it names none."""
    return request.resource[0] if request.resource else request.fields.get("audience")


def refreshes(face: Face) -> list[Recorded]:
    """Return the refreshes since the last reset."""
    return face.requests("refresh_token")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
