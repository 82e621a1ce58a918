"""What a person waits for at a terminal."""

from __future__ import annotations

from integration.bench.homes import Place
from integration.bench.measuring import Command, bare, measure, true
from integration.bench.providers import Provider
from integration.bench.report import Report
from integration.bench.setting import Setting

LAST_LINE = b"go on only if you started this"  # of the prompt with a code


def prompt(setting: Setting, report: Report) -> None:
    """Measure how long it takes until the prompt with a code stands on the terminal, of who has never signed in."""
    report.title("device flow until the prompt stands (no session, nothing known of the provider)")
    with Provider() as provider:
        place = Place(setting.place("prompt"), setting.own, provider)
        environ = place.environ | {"TERM": "xterm-256color"}
        command = Command(place.call("token", "prod"), environ, prepare=place.forget_all, until=LAST_LINE)
        every = [bare(setting.own.python, environ), true(environ), command]
        with provider.asked(metadata=setting.starts, device_authorization=setting.starts):
            runs = measure(every, setting.turns)
    (found,) = report.lines(["http"], runs)
    report.keep("prompt", found.wall)
