"""A refresh: the session has expired before each start, and the provider hands out a new token each time.

Over TLS the program is told whom to trust in two ways: by the system's own roots, which the goals mean (by SSL_CERT_DIR
where a machine lets nobody have roots of their own), and by ``ca_file`` in the profile.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from integration.bench.homes import PROFILES, Place
from integration.bench.line import line_to
from integration.bench.measuring import Command, Failed, Run, Unmeasured, bare, measure, true
from integration.bench.providers import Provider, secure, trusted
from integration.bench.report import Report
from integration.bench.setting import Setting

SYSTEM = "TLS, the system's roots"
DIRECTORY = "TLS, SSL_CERT_DIR"
ROUND_TRIP = 0.030  # seconds


def stale(place: Place) -> Command:
    """Return kubectl's call in a home whose session has expired each time."""

    def expire() -> None:
        place.forget_replies()
        place.expire()

    return place.kubectl()._replace(prepare=expire)


class Renewal(NamedTuple):
    """A call that refreshes, and who is asked."""

    command: Command
    provider: Provider


def renewed(
    renewals: Mapping[str, Renewal], setting: Setting, *, kind: str = "access", inside: Sequence[str] = ()
) -> list[Run]:
    """Measure refreshes beside the interpreter and true; each has to bring what the provider gave for it, once."""
    commands = [renewal.command for renewal in renewals.values()]
    environ = commands[0].environ
    starts = Counter({renewal.provider: 0 for renewal in renewals.values()})
    for renewal in renewals.values():
        starts[renewal.provider] += setting.starts
    with contextlib.ExitStack() as stack:
        for provider, count in starts.items():
            stack.enter_context(provider.asked(token=count, refresh_token=count))
        runs = measure([bare(setting.own.python, environ), true(environ), *commands], setting.turns, inside=inside)
    brought = [json.loads(output)["status"]["token"] for run in runs[2:] for output in run.outputs]
    given = [answer[f"{kind}_token"] for provider in starts for answer in provider.given]
    if sorted(brought) != sorted(given):
        raise Failed(f"what was answered is not what the provider gave ({kind})")
    return runs


def _refresh(setting: Setting, report: Report, name: str, kind: str) -> None:
    """Measure refreshes by http, and by TLS in both ways to trust."""
    folder = setting.place(f"{name}-tls")
    folder.mkdir()
    plain, (tls, authority) = Provider(), secure(folder)
    trust = trusted(authority)
    directory = {"SSL_CERT_DIR": str(trust.folder)}
    with plain, tls:
        ways: dict[str, tuple[Provider, dict[str, Any], dict[str, str]]] = {"http": (plain, {}, {})}
        ways[SYSTEM if trust.inside else DIRECTORY] = (tls, {}, {} if trust.inside else directory)
        ways["TLS, ca_file"] = (tls, {"ca_file": str(authority.ca_file)}, {})
        renewals = {}
        for label, (provider, profile, environ) in ways.items():
            place = Place(setting.place(name), setting.own, provider, **PROFILES[kind], **profile)
            place.environ |= environ
            place.signed_in(provider, **directory)
            renewals[label] = Renewal(stale(place), provider)
        runs = renewed(renewals, setting, kind=kind, inside=trust.inside)
    found = dict(zip(renewals, report.lines(list(renewals), runs), strict=True))
    report.keep(f"{name} http", found["http"].cpu)
    report.keep(f"{name} TLS", found[SYSTEM if trust.inside else DIRECTORY].cpu)


def refresh(setting: Setting, report: Report) -> None:
    """Measure a refresh that brings an access token."""
    report.title("refresh")
    _refresh(setting, report, "refresh", "access")


def refresh_id(setting: Setting, report: Report) -> None:
    """Measure a refresh whose answer is the ID token, which is verified."""
    report.title("refresh with ID token")
    _refresh(setting, report, "refresh-id", "id")


def line(setting: Setting, report: Report) -> None:
    """Measure a refresh over a line, as the time that it takes longer than a bare interpreter."""
    report.title(f"refresh, TLS with the system's roots, line of {ROUND_TRIP * 1000:.0f} ms round trip")
    for kind in PROFILES:
        folder = setting.place("line-tls")
        folder.mkdir()
        provider, authority = secure(folder)
        with provider, line_to(urlsplit(provider.issuer).port or 0, ROUND_TRIP) as port:
            provider.issuer = f"https://127.0.0.1:{port}/"
            place = Place(setting.place("line"), setting.own, provider, **PROFILES[kind])
            trust = trusted(authority)
            place.signed_in(provider, SSL_CERT_DIR=str(trust.folder))
            if not trust.inside:
                place.environ["SSL_CERT_DIR"] = str(trust.folder)
            label = f"{kind} token"
            runs = renewed({label: Renewal(stale(place), provider)}, setting, kind=kind, inside=trust.inside)
            found = report.lines([label], runs)[0]
            report.say(f"{label}: {found.longer * 1000:.0f} ms longer than a bare interpreter")
            report.keep("line" if kind == "access" else "line id", found.longer * 1000)


def keyring(setting: Setting, report: Report) -> None:
    """Measure a refresh whose refresh token is guarded by gnome-keyring, on a D-Bus session of its own."""
    for program in ("dbus-run-session", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            raise Unmeasured(f"{program} is not on PATH")
    from integration.scenes.keyrings import KeyringSession

    report.title("refresh with keyring")
    session = KeyringSession(setting.place("bus"))
    try:
        with Provider() as provider:
            place = Place(setting.place("keyring"), setting.own, provider, store="keyring")
            place.environ["DBUS_SESSION_BUS_ADDRESS"] = session.address
            place.signed_in(provider)
            if not session.records():
                raise Failed("nothing of ours is in the keyring")
            label = "http, gnome-keyring"
            found = report.lines([label], renewed({label: Renewal(stale(place), provider)}, setting))[0]
            report.keep("keyring", found.wall)
    finally:
        session.stop()
