"""A refresh: the session has expired before each start, and the provider hands out a new token each time.

Over TLS the program is told whom to trust in three ways: by the system's own roots, which the goals mean; by
SSL_CERT_DIR, which stands in for them where a machine allows nobody to have others; and by ``ca_file`` in the profile.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from integration.bench.homes import SCOPES, Place
from integration.bench.line import line_to
from integration.bench.measuring import Command, Failed, Run, Unmeasured, bare, measure, true
from integration.bench.providers import Provider, secure, trusted
from integration.bench.report import Report
from integration.bench.setting import Setting

SYSTEM = "TLS, the system's roots"
ROUND_TRIP = 0.030  # seconds


def stale(place: Place) -> Command:
    """Return kubectl's call in a home whose session has expired each time."""

    def expire() -> None:
        place.forget_replies()
        place.expire()

    return place.kubectl()._replace(prepare=expire)


def renewed(
    commands: Mapping[str, Command],
    provider_of: Mapping[str, Provider],
    setting: Setting,
    inside: Sequence[str] = (),
) -> list[Run]:
    """Measure refreshes beside the interpreter and true; each has to bring a token that nobody has had before."""
    environ = next(iter(commands.values())).environ
    every = [bare(setting.own.python, environ), true(environ), *commands.values()]
    of_provider: dict[Provider, int] = {}
    for label in commands:
        of_provider[provider_of[label]] = of_provider.get(provider_of[label], 0) + setting.starts
    with contextlib.ExitStack() as stack:
        for provider, count in of_provider.items():
            stack.enter_context(provider.asked(token=count, refresh_token=count))
        runs = measure(every, setting.turns, inside=inside)
    for label, run in zip(commands, runs[2:], strict=True):
        if len(set(run.outputs)) != setting.starts:
            raise Failed(f"{label}: an answer came twice")
    return runs


def _refresh(setting: Setting, report: Report, name: str, scope: str) -> None:
    """Measure refreshes by http, and by TLS in each way to trust."""
    folder = setting.place(f"{name}-tls")
    folder.mkdir()
    plain, (tls, authority) = Provider(), secure(folder)
    trust = trusted(authority)
    directory = {"SSL_CERT_DIR": str(trust.folder)}
    with plain, tls:
        ways: dict[str, tuple[Provider, dict[str, Any], dict[str, str]]] = {"http": (plain, {}, {})}
        if trust.inside:
            ways[SYSTEM] = (tls, {}, {})
        ways |= {
            "TLS, SSL_CERT_DIR": (tls, {}, directory),
            "TLS, ca_file": (tls, {"ca_file": str(authority.ca_file)}, {}),
        }
        commands = {}
        for label, (provider, profile, environ) in ways.items():
            place = Place(setting.place(name), setting.own, provider, scope=scope, **profile)
            place.environ |= environ
            place.signed_in(provider, **directory)
            commands[label] = stale(place)
        runs = renewed(commands, {label: way[0] for label, way in ways.items()}, setting, trust.inside)
    found = dict(zip(commands, report.lines(list(commands), runs), strict=True))
    report.keep(f"{name} http", found["http"].cpu)
    report.keep(f"{name} TLS", found[SYSTEM if trust.inside else "TLS, SSL_CERT_DIR"].cpu)


def refresh(setting: Setting, report: Report) -> None:
    """Measure a refresh that brings an access token."""
    report.title("refresh")
    _refresh(setting, report, "refresh", SCOPES["access"])


def refresh_id(setting: Setting, report: Report) -> None:
    """Measure a refresh that brings an ID token as well, whose signature is verified."""
    report.title("refresh with ID token")
    _refresh(setting, report, "refresh-id", SCOPES["id"])


def line(setting: Setting, report: Report) -> None:
    """Measure a refresh over a line, as the time that it takes longer than a bare interpreter."""
    report.title(f"refresh, TLS with the system's roots, line of {ROUND_TRIP * 1000:.0f} ms round trip")
    for name, scope in (("access", SCOPES["access"]), ("id", SCOPES["id"])):
        folder = setting.place("line-tls")
        folder.mkdir()
        provider, authority = secure(folder)
        with provider, line_to(urlsplit(provider.issuer).port or 0, ROUND_TRIP) as port:
            provider.issuer = f"https://127.0.0.1:{port}/"
            place = Place(setting.place("line"), setting.own, provider, scope=scope)
            trust = trusted(authority)
            place.signed_in(provider, SSL_CERT_DIR=str(trust.folder))
            if not trust.inside:
                place.environ["SSL_CERT_DIR"] = str(trust.folder)
            label = "access token" if name == "access" else "access and ID token"
            found = report.lines([label], renewed({label: stale(place)}, {label: provider}, setting, trust.inside))[0]
            report.say(f"{label}: {found.longer * 1000:.0f} ms longer than a bare interpreter")
            report.keep("line" if name == "access" else "line id", found.longer * 1000)


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
            found = report.lines([label], renewed({label: stale(place)}, {label: provider}, setting))[0]
            report.keep("keyring", found.wall)
    finally:
        session.stop()
