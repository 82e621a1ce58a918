"""Whether a person can be asked, on a real pseudo-terminal."""

from __future__ import annotations

import os
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from credential_helper.errors import ConfigurationError
from credential_helper.system.ci import in_ci
from tests.helpers.clock import FakeClock
from tests.helpers.requests import request_by
from tests.helpers.terminal import Pty, profile, terminal


@pytest.mark.parametrize("tool", ["kubectl", "git", "credential-helper"])
def test_a_person_at_a_terminal_can_answer(screen: Pty, clock: FakeClock, tool: str) -> None:
    assert terminal(screen, clock).can_answer(profile(), request_by(tool))


def test_nobody_can_answer_where_a_program_draws(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock)
    screen.mode(termios.ICANON, on=False)
    assert not told.can_answer(profile(), request_by("kubectl"))
    screen.mode(termios.ICANON, on=True)
    assert told.can_answer(profile(), request_by("kubectl"))


@pytest.mark.parametrize(
    ("value", "asks"), [("", True), ("0", True), ("false", True), ("False", True), ("true", False)]
)
def test_ci_asks_nobody(screen: Pty, clock: FakeClock, value: str, asks: bool) -> None:
    assert terminal(screen, clock, {"CI": value}).can_answer(profile(), request_by("kubectl")) is asks


def test_the_profile_says_never(screen: Pty, clock: FakeClock) -> None:
    assert not terminal(screen, clock).can_answer(profile("never"), request_by("kubectl"))


@pytest.mark.parametrize("interactive", ["auto", "never"])
def test_docker_does_not_ask(screen: Pty, clock: FakeClock, interactive: Literal["auto", "never"]) -> None:
    assert not terminal(screen, clock).can_answer(profile(interactive), request_by("docker"))


def test_docker_asks_when_the_profile_says_always(screen: Pty, clock: FakeClock) -> None:
    assert terminal(screen, clock).can_answer(profile("always"), request_by("docker"))


def test_always_skips_the_terminal_but_not_ci(screen: Pty, clock: FakeClock) -> None:
    screen.mode(termios.ICANON, on=False)
    assert terminal(screen, clock).can_answer(profile("always"), request_by("kubectl"))
    assert not terminal(screen, clock, {"CI": "1"}).can_answer(profile("always"), request_by("kubectl"))


@pytest.mark.parametrize(
    ("variable", "rule", "environ", "asks"),
    [
        ("never", "always", {}, False),
        ("always", "never", {"CI": "1"}, True),
        ("ALWAYS", "auto", {}, True),
        ("auto", "never", {}, True),
        ("auto", "always", {"CI": "1"}, False),
        ("", "never", {}, False),
    ],
)
def test_the_variable_overrides_the_profile(
    screen: Pty, clock: FakeClock, variable: str, rule: Any, environ: dict[str, str], asks: bool
) -> None:
    environ = environ | {"CREDENTIAL_HELPER_INTERACTIVE": variable}
    assert terminal(screen, clock, environ).can_answer(profile(rule), request_by("kubectl")) is asks


def test_a_variable_that_means_nothing_is_refused(screen: Pty, clock: FakeClock) -> None:
    told = terminal(screen, clock, {"CREDENTIAL_HELPER_INTERACTIVE": "yes\x1b[2J"})
    with pytest.raises(ConfigurationError) as caught:
        told.can_answer(profile(), request_by("kubectl"))
    assert caught.value.sentence == ('CREDENTIAL_HELPER_INTERACTIVE is "yes[2j", which is none of auto, always, never')


@pytest.mark.parametrize(("value", "asks"), [("0", False), ("false", False), ("", False), ("1", True), ("true", True)])
def test_git_has_said_no_in_a_variable(screen: Pty, clock: FakeClock, value: str, asks: bool) -> None:
    environ = {"GIT_TERMINAL_PROMPT": value}
    assert terminal(screen, clock, environ).can_answer(profile(), request_by("git")) is asks
    assert terminal(screen, clock, environ).can_answer(profile(), request_by("kubectl"))


@pytest.mark.parametrize(
    ("value", "asks"),
    [("never", False), ("false", False), ("Never\n", False), ("auto", True), ("true", True), (None, True)],
)
def test_git_has_said_no_in_its_configuration(screen: Pty, clock: FakeClock, value: str | None, asks: bool) -> None:
    calls: list[str] = []

    def run(words: Sequence[str]) -> str | None:
        calls.append(" ".join(words[:2]))
        return value

    told = terminal(screen, clock, run=run)
    assert told.can_answer(profile(), request_by("kubectl"))
    assert calls == []
    assert [told.can_answer(profile(), request_by("git")) for _ in range(3)] == [asks] * 3
    assert calls == ["git config"]  # a process that waits for a lock asks every 50 ms


def test_why_nobody_is_asked_is_noted_once(clock: FakeClock, tmp_path: Path) -> None:
    log = tmp_path / "log"
    environ = {"CI": "true", "CREDENTIAL_HELPER_VERBOSE": str(log)}
    with open(os.devnull, "wb") as null:
        told = terminal(null.fileno(), clock, environ)
        for _ in range(3):
            told.can_answer(profile(), request_by("kubectl"))
    assert log.read_text().count("nobody can be asked: CI is set") == 1


@pytest.mark.parametrize(("value", "ci"), [("", False), (" 0 ", False), ("FALSE", False), ("1", True), ("yes", True)])
def test_ci_is_anything_but_no(value: str, ci: bool) -> None:
    assert in_ci({"CI": value}) is ci
    assert not in_ci({})
