"""The words of a prompt and of its end: values in, lines out."""

from __future__ import annotations

import time
from typing import Any

import pytest

from credential_helper.model import Identity
from credential_helper.terminal.words import closing_line, prompt_lines
from credential_helper.text import host_of
from tests.helpers.clock import FakeClock
from tests.helpers.terminal import credential, in_a_browser, prompt

# --- the prompt -------------------------------------------------------------------------------------------------------


def test_git_names_its_host_and_a_login_names_itself(clock: FakeClock) -> None:
    asked = prompt(clock, tool="git", target="https://git.example.com", scope=("openid",))
    assert prompt_lines(asked, now=clock.now())[:2] == [
        "credential-helper: git needs a sign-in to prod (example.eu.auth0.com)",
        "  for https://git.example.com: openid",
    ]
    asked = prompt(clock, tool="credential-helper", target=None)
    assert prompt_lines(asked, now=clock.now())[:2] == [
        "credential-helper: signing in to prod (example.eu.auth0.com)",
        "  for openid profile email offline_access",
    ]


def test_a_profile_that_is_for_somebody_says_for_whom(clock: FakeClock) -> None:
    asked = prompt(clock, tool="credential-helper", account="bob@example.test", profile="admin")
    assert prompt_lines(asked, now=clock.now())[0] == (
        "credential-helper: signing in to admin as bob@example.test (example.eu.auth0.com)"
    )
    asked = prompt(clock, tool="git", account="bob\x1b[2J\nopen  https://evil.example")
    (line, *_) = prompt_lines(asked, now=clock.now())
    assert "\x1b" not in line
    assert "\n" not in line


FAKED = "open  https://evil.example/activate", "and enter  EVIL-CODE        15 minutes; Ctrl-C stops"


@pytest.mark.parametrize("blank", [" ", "\u2800", "\u3164", "\u115f", "\uffa0", "\u00a0", "\u3000", "\t", "\u0301"])
@pytest.mark.parametrize("columns", [40, 80, 132])
def test_a_path_cannot_fake_lines_of_the_prompt(clock: FakeClock, blank: str, columns: int) -> None:
    """A submodule's URL, with credential.useHttpPath, is a stranger's: its path reached the prompt as it came."""
    path = "".join(line.replace(" ", blank) + blank * (columns - len(line)) for line in ("", *FAKED) * 3)
    asked = prompt(clock, tool="git", target=f"https://git.example.com/{path}", verification_uri_complete=None)
    lines = prompt_lines(asked, now=clock.now())
    assert len(lines) == 5
    assert blank * 2 not in lines[1].strip()
    shown = [lines[1][start : start + columns] for start in range(0, len(lines[1]), columns)]
    assert not [row for row in shown if row.split()[:1] == ["open"] or "and enter " in row or "  " in row.strip()]
    assert len(lines[1]) <= len("  for ") + 300 + len(": openid profile email offline_access")


BACK = "http://127.0.0.1:41515/callback"
PASTE = "  or paste the final address here, which is not shown"


@pytest.mark.parametrize(
    ("redirect_uri", "options", "lines"),
    [
        (
            BACK,
            {"remote": True, "paste": True, "machine": "build7"},
            [
                "  it comes back to port 41515 here; where the browser is, forward that with",
                "    ssh -L 41515:127.0.0.1:41515 build7",
                PASTE,
            ],
        ),
        (
            "http://[::1]:8252/",
            {"remote": True, "machine": "a b;$(c)\x1b\u2800é.d-e_f"},
            [
                "  it comes back to port 8252 here; where the browser is, forward that with",
                "    ssh -L 8252:[::1]:8252 abcé.d-e_f",
            ],
        ),
        (
            "http://localhost:9/callback",
            {"remote": True, "machine": "build7"},
            [
                "  it comes back to port 9 here; where the browser is, forward that with",
                "    ssh -L 9:127.0.0.1:9 build7",
            ],
        ),
        (BACK, {"paste": True, "machine": "build7"}, ["  it comes back to port 41515 here", PASTE]),
        (BACK, {"machine": "build7"}, []),
        (BACK, {"browser": True}, ["  (a browser has been asked to show it)"]),
        (BACK, {"browser": True, "remote": True, "machine": "h"}, ["  (a browser has been asked to show it)", ...]),
        (BACK, {"ours": False}, []),
        ("", {"remote": True, "paste": True, "machine": "build7"}, []),
    ],
)
def test_a_browser_elsewhere_is_told_the_way_back(
    clock: FakeClock, redirect_uri: str, options: dict[str, Any], lines: list[Any]
) -> None:
    said = prompt_lines(in_a_browser(clock, redirect_uri=redirect_uri), now=clock.now(), **options)
    [start] = [number for number, line in enumerate(said) if line.startswith("  open  ")]
    back = said[start + 1 : -2]
    if lines and lines[-1] is ...:
        assert (back[0], len(back)) == (lines[0], 3)
    else:
        assert back == lines
    assert said[-2:] == ["  within 5 minutes; Ctrl-C stops", "  go on only if you started this"]


def test_several_targets_stay_apart(clock: FakeClock) -> None:
    lines = prompt_lines(prompt(clock, target="https://a.example/x y, https://b.example", scope=()), now=clock.now())
    assert lines[1] == "  for https://a.example/x%20y, https://b.example"


def test_a_code_stands_on_one_line(clock: FakeClock) -> None:
    code = "AB" + " " * 50 + "open evil"
    lines = prompt_lines(prompt(clock, verification_uri_complete=None, user_code=code), now=clock.now())
    assert lines[3].startswith("  and enter  AB open evil        ")


def test_without_a_complete_uri_the_code_is_to_be_entered(clock: FakeClock) -> None:
    lines = prompt_lines(prompt(clock, verification_uri_complete=None, target=None, scope=()), now=clock.now())
    assert lines[1:] == [
        "  open  https://example.eu.auth0.com/activate",
        "  and enter  WDJB-MJHT        15 minutes; Ctrl-C stops",
        "  go on only if you started this",
    ]


def test_a_verification_host_that_is_not_the_issuers_is_named_apart(clock: FakeClock) -> None:
    uri = "https://example.eu.auth0.com@evil.example/activate"
    lines = prompt_lines(prompt(clock, verification_uri_complete=None, verification_uri=uri), now=clock.now())
    assert "  that page is on evil.example, not on example.eu.auth0.com" in lines


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.COM:443/a?b#c", "example.com"),
        ("https://example.com:8443", "example.com:8443"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("https://a@b@evil.example?x", "evil.example"),
        ("https://evil.example\\@example.com/", "evil.example"),
        ("https://[::1]:443/x", "[::1]"),
        ("nonsense", ""),
    ],
)
def test_a_host_is_read_as_a_browser_reads_it(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (899.6, "15 minutes"),
        (1800, "30 minutes"),
        (104, "1 minute"),
        (59.9, "1 minute"),
        (44, "44 seconds"),
        (-3, "0 seconds"),
    ],
)
def test_the_time_left(clock: FakeClock, seconds: float, words: str) -> None:
    lines = prompt_lines(prompt(clock, expires_at=clock.now() + seconds), now=clock.now())
    assert lines[-2].endswith(f"        {words}; Ctrl-C stops")


def test_the_reason_for_a_code_is_shown(clock: FakeClock) -> None:
    lines = prompt_lines(prompt(clock, because="SSH_CONNECTION is set\x1b\n"), now=clock.now())
    assert lines[2] == "  with a code, because SSH_CONNECTION is set"


# --- the closing line -------------------------------------------------------------------------------------------------


def close(clock: FakeClock, *, refresh_token: bool = True, advice: str | None = "do this", **changes: Any) -> str:
    return closing_line(credential(clock, **changes), now=clock.now(), refresh_token=refresh_token, advice=advice)


def noon() -> FakeClock:
    return FakeClock(time.mktime((2030, 3, 17, 12, 0, 0, 0, 0, -1)))


def test_the_closing_line_says_who_until_when_and_what_then() -> None:
    clock = noon()
    assert close(clock) == "signed in to prod as ada@example.com until 13:00, renews by itself"
    assert close(clock, identity=None) == "signed in to prod until 13:00, renews by itself"
    assert close(clock, identity=Identity(subject="auth0|1")) == (
        "signed in to prod as auth0|1 until 13:00, renews by itself"
    )


def test_the_date_is_told_when_it_is_another_day() -> None:
    clock = noon()
    assert "until 2030-03-18 12:00," in close(clock, expires_at=clock.now() + 86400)


@pytest.mark.parametrize("expires_at", [None, 1e300, float("inf")])
def test_an_unknown_expiry_is_not_invented(expires_at: float | None) -> None:
    assert close(noon(), expires_at=expires_at) == (
        "signed in to prod as ada@example.com for as long as the provider lets it, renews by itself"
    )


def test_no_refresh_token_although_one_was_wanted_names_the_switches() -> None:
    clock = noon()
    assert close(clock, refresh_token=False) == (
        "signed in to prod as ada@example.com until 13:00, then a new sign-in (no refresh token came: do this)"
    )
    assert close(clock, refresh_token=False, advice=None) == (
        "signed in to prod as ada@example.com until 13:00, then a new sign-in"
    )


def test_what_could_not_be_kept_comes_before_what_the_provider_could_do(clock: FakeClock) -> None:
    line = closing_line(
        credential(clock),
        now=clock.now(),
        refresh_token=False,
        advice="switch it on",
        unkept="/home/ada/.local/state is read-only",
    )
    assert line.endswith("(the refresh token could not be kept: /home/ada/.local/state is read-only)")
    assert "switch it on" not in line
