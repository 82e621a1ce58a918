"""git's credential protocol: bytes in, a request; a credential in, bytes."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Literal

import msgspec
import pytest

from credential_helper import errors
from credential_helper.errors import (
    ConfigurationError,
    CredentialHelperError,
    ProtocolError,
    RateLimited,
    TokenResponseError,
)
from credential_helper.model import Identity, Secret
from credential_helper.tools import TOOLS, git, wire
from tests.helpers.credentials import NOW, credential
from tests.helpers.requests import request_by
from tests.tools.contract import ListedToolContract

HOST = b"protocol=https\nhost=git.example.com\n"
TOKEN = credential.token.reveal()
EXPIRY = f"password_expiry_utc={int(NOW) + 3600}\n".encode()
STATE = hashlib.sha256(TOKEN.encode()).hexdigest()[:16]
ADA = Identity(subject="auth0|1", name="ada", claims=(("email", "ada@example.com"), ("preferred_username", "ada")))


def fields(data: bytes) -> dict[str, str]:
    return dict(git.read(data).fields)


def lists(data: bytes, name: str) -> tuple[str, ...]:
    return git.read(data).lists.get(name, ())


def refusal(data: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        git.read(data)
    assert caught.value.exit_code == 65
    assert "evil" not in caught.value.sentence
    return caught.value.sentence


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        HOST,  # git closes stdin, and sends no empty line
        HOST + b"\n",
        HOST + b"\r\n",
        HOST.replace(b"\n", b"\r\n"),  # since git 2.29
        HOST.removesuffix(b"\n"),
        HOST + b"\nhost=evil.example\nmore rubbish\r\0",
    ],
)
def test_a_request_ends_at_an_empty_line_or_with_the_input(data: bytes) -> None:
    assert fields(data) == {"protocol": "https", "host": "git.example.com"}


@pytest.mark.parametrize("data", [b"", b"\n", b"\r\n", b"\n" + HOST])
def test_a_request_may_be_empty(data: bytes) -> None:
    message = git.read(data)
    assert not message.fields
    assert not message.named


def test_what_follows_the_empty_line_is_not_read() -> None:
    """git-credential-oauth 0.4.2 answers github.com's token to ``host=nope``, an empty line, ``host=github.com``."""
    assert git.read(b"protocol=https\nhost=nope\n\nhost=github.com\n").host == "nope"


def test_values_are_what_the_bytes_are() -> None:
    data = b"path=a=b=c \nusername=\xff\xc3\xa4\npassword=\nx-unknown=1\n=nameless\n"
    assert fields(data) == {
        "path": "a=b=c ",
        "username": "\udcffä",
        "password": "",
        "x-unknown": "1",
        "": "nameless",
    }


def test_of_a_key_that_comes_twice_the_last_value_counts() -> None:
    """CVE-2020-5260: what ``%0a`` in a URL made of a request."""
    message = git.read(b"protocol=https\nhost=evil.example\nhost=git.example.com\n")
    assert (message.host, git.request(message).target) == ("git.example.com", "https://git.example.com")


def test_a_list_keeps_its_order_and_an_empty_value_empties_it() -> None:
    assert lists(b"wwwauth[]=Basic a\nwwwauth[]=Bearer b\n", "wwwauth") == ("Basic a", "Bearer b")
    assert lists(b"wwwauth[]=Basic a\nwwwauth[]=\nwwwauth[]=Bearer b\n", "wwwauth") == ("Bearer b",)
    assert lists(b"wwwauth[]=Basic a\nwwwauth[]=\n", "wwwauth") == ()
    assert "wwwauth" not in fields(b"wwwauth[]=Basic a\n")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        pytest.param(b"protocol=https\nhost=evil.example\rhost=git.example.com\n", 2, id="CVE-2024-50338"),
        pytest.param(b"protocol=https\nhost=evil.example\r\r\n", 2, id="CVE-2024-52006"),
        pytest.param(b"protocol=https\rhost=evil.example\n", 1, id="CVE-2024-53263"),
        pytest.param(b"host=a\nho\rst=evil\n", 2, id="in a key"),
        pytest.param(b"host=evil\0.example.com\n", 1, id="NUL"),
    ],
)
def test_a_carriage_return_or_a_nul_inside_a_line_is_refused(data: bytes, line: int) -> None:
    assert refusal(data) == f"stdin, line {line}: a carriage return or a NUL is in the middle of a line"


def test_a_line_without_an_equals_sign_is_refused() -> None:
    assert refusal(b"protocol=https\nevil\n") == "stdin, line 2: there is no = in it"


@pytest.mark.parametrize("length", [1001, 65535, 10 << 20])
def test_a_long_line_is_one_line(length: int) -> None:
    """git 71201ab0e5: a fixed buffer cut ``wwwauth[]=…host=victim`` in two."""
    header = b"basic realm=" + b"a" * length + b"host=victim.example.com"
    message = git.read(HOST + b"wwwauth[]=" + header + b"\n")
    assert message.host == "git.example.com"
    assert message.lists["wwwauth"] == (header.decode(),)


@pytest.mark.timeout(120)
def test_many_lines_take_no_longer_than_their_bytes() -> None:
    """With their square, these would take several minutes."""
    assert len(lists(b"wwwauth[]=x\n" * 600_000, "wwwauth")) == 600_000


def test_a_request_without_end_is_refused() -> None:
    assert refusal(b"path=" + b"a" * git.LIMIT) == "stdin is larger than 16 MiB"


def test_a_request_prints_no_values() -> None:
    assert repr(git.read(b"username=canary\npassword=canary\nstate[]=canary\n")) == "<username password state>"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://git.example.com", {"protocol": "https", "host": "git.example.com"}),
        ("https://git.example.com:8443/", {"protocol": "https", "host": "git.example.com:8443"}),
        (
            "https://ada:s%3Ac@git.example.com/a%20b/c.git/",
            {
                "protocol": "https",
                "username": "ada",
                "password": "s:c",
                "host": "git.example.com",
                "path": "a b/c.git",
            },
        ),
        ("https://@git.example.com?x", {"protocol": "https", "username": "", "host": "git.example.com", "path": "?x"}),
        ("https://git.example.com#@evil.example", {"protocol": "https", "host": "git.example.com"}),
        ("https://git.example.com/x@evil.example", {"protocol": "https", "host": "git.example.com"}),
        ("https://git.example.com@evil.example/", {"protocol": "https", "host": "evil.example"}),
    ],
)
def test_a_url_that_a_person_types_is_taken_apart_as_git_does(url: str, expected: dict[str, str]) -> None:
    found = fields(b"host=before\npath=before\n" + f"url={url}\n".encode())
    assert {**found, **expected} == found
    assert "before" not in found.values()
    assert fields(f"url={url}\nhost=after\n".encode())["host"] == "after"
    assert lists(f"capability[]=authtype\nurl={url}\n".encode(), "capability") == ()


@pytest.mark.parametrize("url", ["https://evil.example%0dhost=x/", "https://a/%0Aevil", "https://evil%00.com", "evil"])
def test_a_url_with_a_control_character_or_without_a_scheme_is_refused(url: str) -> None:
    assert refusal(f"url={url}\n".encode()).startswith("stdin, line 1: the URL has ")


# --- what it asks -----------------------------------------------------------------------------------------------------


def test_what_is_asked_names_the_host_and_never_an_account() -> None:
    assert git.request(git.read(HOST + b"username=ada\n")) == request_by("git", target="https://git.example.com")
    asked = git.request(git.read(HOST + b"path=a/\xffb.git\n"))
    assert asked == request_by("git", target="https://git.example.com/a/?b.git")
    assert msgspec.json.encode(asked.target)


@pytest.mark.parametrize("data", [b"protocol=https\n", b"host=x\n", b"protocol=\nhost=x\n", b"protocol=https\nhost=\n"])
def test_without_a_protocol_or_a_host_nothing_is_named(data: bytes) -> None:
    """CVE-2020-11008, and what is left of a request when git dies while it writes one."""
    assert not git.read(data).named


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        (b"state[]=credential_helper:0123456789abcdef\n", "0123456789abcdef"),
        (b"state[]=gcm:1\nstate[]=credential_helper:0123456789abcdef\nstate[]=other:2\n", "0123456789abcdef"),
        (
            b"state[]=credential_helper:0000000000000000\nstate[]=credential_helper:0123456789abcdef\n",
            "0123456789abcdef",
        ),
        (b"state[]=credential_helper:0123456789abcdef\nstate[]=\n", None),
        (b"state[]=0123456789abcdef\n", None),
        (b"state[]=credential_helper:\n", None),
        (b"state[]=credential_helper:0123456789ABCDEF\n", None),
        (b"state[]=credential_helper:0123456789abcdef0\n", None),
        (b"state=credential_helper:0123456789abcdef\n", None),
        (b"", None),
    ],
)
def test_a_state_of_ours_names_the_rejected_token_and_others_are_left_alone(lines: bytes, refused: str | None) -> None:
    message = git.read(HOST + lines)
    assert message.refused == refused
    assert git.request(message).refused == refused


@pytest.mark.parametrize(
    ("header", "offered"),
    [
        ("Bearer", True),
        ('bearer realm="x"', True),
        ('Basic realm="x", Bearer realm="y"', True),
        ('Basic realm="x",Bearer', True),
        ("Basic", False),
        ('Basic realm="a, Bearer b"', False),
        ('Basic realm="a\\", Bearer b"', False),
        ('Basic realm="a\\\\", Bearer realm="b"', True),
        ("BearerX", False),
        ("Negotiate bearer", False),
    ],
)
def test_bearer_is_offered_where_a_challenge_begins_with_it(header: str, offered: bool) -> None:
    assert git.read(f"wwwauth[]=Digest\nwwwauth[]={header}\n".encode()).offered_bearer is offered
    assert not git.read(b"").offered_bearer


def test_a_header_made_to_be_slow_is_not() -> None:
    """One that is read again from each of its parts would take hours."""
    for part in (b'\\"', b'"', b", ", b" \t", b",bearer="):
        message = git.read(b"wwwauth[]=" + part * (1 << 20) + b"x\n")
        assert message.offered_bearer is False


def basic(pair: bytes) -> bytes:
    return b"authtype=Basic\ncredential=" + base64.b64encode(pair) + b"\n"


@pytest.mark.parametrize(
    ("lines", "token"),
    [
        (b"username=oauth2\npassword=the-token\n", "the-token"),
        (b"authtype=Bearer\ncredential=the-token\n", "the-token"),
        (basic(b"oauth2:the:token"), "the:token"),
        (b"authtype=basic\ncredential=b2F1dGgyOnRoZS10b2tlbg==\npassword=other\n", "the-token"),
        (basic(b"oauth2"), None),
        (basic(b"oauth2:\xff"), None),
        (b"authtype=Basic\ncredential=%%%\n", None),
        (b"authtype=Basic\ncredential=\xc3\xa4\n", None),
        (b"authtype=Bearer\ncredential=\n", None),
        (b"password=\n", None),
        (b"", None),
    ],
)
def test_the_rejected_token_is_found_in_each_form(lines: bytes, token: str | None) -> None:
    rejected = git.read(lines).rejected
    assert (rejected and rejected.reveal()) == token


# --- the form ---------------------------------------------------------------------------------------------------------

AUTHTYPE = b"capability[]=authtype\ncapability[]=state\n"
OFFERED = b"wwwauth[]=Bearer\n"


@pytest.mark.parametrize(
    ("scheme", "lines", "version", "expected"),
    [
        ("auto", b"", (2, 54), "password"),
        ("auto", OFFERED, (2, 54), "password"),
        ("auto", b"capability[]=state\n", (2, 54), "password"),
        ("auto", AUTHTYPE, (2, 54), "basic"),
        ("auto", AUTHTYPE + b"wwwauth[]=Basic\n", (2, 55), "basic"),
        ("auto", AUTHTYPE + OFFERED, (2, 54), "bearer"),
        ("auto", AUTHTYPE + OFFERED, (3, 0), "bearer"),
        ("auto", AUTHTYPE + OFFERED, (2, 53), "password"),
        ("auto", AUTHTYPE + OFFERED, (2, 46), "password"),
        ("auto", AUTHTYPE + OFFERED, None, "password"),
        ("basic", AUTHTYPE + OFFERED, (2, 54), "password"),
        ("basic", b"", None, "password"),
        ("bearer", AUTHTYPE, (2, 46), "bearer"),
        ("bearer", AUTHTYPE + b"wwwauth[]=Basic\n", (2, 54), "bearer"),
    ],
)
def test_the_form_follows_scheme_capability_and_version(
    scheme: git.Scheme, lines: bytes, version: git.Version | None, expected: git.Form
) -> None:
    assert git.form(git.read(HOST + lines), scheme, lambda: version) == expected


@pytest.mark.parametrize(("scheme", "lines"), [("basic", AUTHTYPE), ("bearer", AUTHTYPE), ("auto", b"")])
def test_the_version_is_not_asked_for_where_it_does_not_matter(scheme: git.Scheme, lines: bytes) -> None:
    asked: list[int] = []
    git.form(git.read(HOST + lines), scheme, lambda: asked.append(1) or (2, 54))  # type: ignore[func-returns-value]
    assert not asked


def test_a_git_that_cannot_send_bearer_is_told_where_only_bearer_will_do() -> None:
    with pytest.raises(
        ConfigurationError, match=r"git\.example\.com takes Bearer tokens only .* cannot send"
    ) as caught:
        git.form(git.read(HOST), "bearer", lambda: None)
    assert caught.value.hint == "git 2.46 and newer can"


@pytest.mark.parametrize(
    ("output", "version"),
    [
        (b"git version 2.39.5\n", (2, 39)),
        (b"git version 2.39.5 (Apple Git-154)\n", (2, 39)),
        (b"git version 2.54.0.windows.1\n", (2, 54)),
        (b"git version 2.54.0-rc1", (2, 54)),
        (b"git version 3.0", (3, 0)),
        (b"hub version 2.54\ngit version 2.54\n", None),
        (b"git version next", None),
        (b"git version 2.99999999999999999999", None),
        (b"", None),
    ],
)
def test_the_version_is_read_from_what_git_says(output: bytes, version: git.Version | None) -> None:
    assert git.version_of(output) == version


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("oauth2", "oauth2"),
        ("{preferred_username}", "ada"),
        ("{email}", "ada@example.com"),
        ("x-{preferred_username}-{email}", "x-ada-ada@example.com"),
        ("{}", "{}"),
    ],
)
def test_the_user_name_is_literal_or_a_claim(template: str, name: str) -> None:
    assert wire.username(template, ADA) == name


def test_a_claim_that_is_not_there_says_which_are() -> None:
    with pytest.raises(
        ConfigurationError, match=r'^username = "\{nickname\}": the ID token has no such claim$'
    ) as caught:
        wire.username("{nickname}", ADA)
    assert caught.value.hint == "it has email, preferred_username"
    with pytest.raises(ConfigurationError, match="there is no ID token"):
        wire.username("{email}", None)
    assert wire.username("oauth2", None) == "oauth2"


@pytest.mark.parametrize("value", ["a\nhost=evil", "a\rb", "a\0b", "a:b", "a\x1b[31m", "\ud800"])
def test_a_claim_that_would_break_out_is_refused(value: str) -> None:
    """CVE-2020-5260, the other way round: what the provider says may not make lines of an answer."""
    with pytest.raises(ConfigurationError, match="makes a name with a colon or a control character"):
        wire.username("{name}", Identity(subject="x", claims=(("name", value),)))


# --- an answer --------------------------------------------------------------------------------------------------------


def render(form: git.Form, *, state: str | None = None, **changes: Any) -> bytes:
    return git.render(msgspec.structs.replace(credential, **changes), form=form, username="oauth2", state=state)


PASSWORD = b"username=oauth2\npassword=" + TOKEN.encode() + b"\n" + EXPIRY
BEARER = b"authtype=Bearer\ncredential=" + TOKEN.encode() + b"\nephemeral=1\n" + EXPIRY
BASIC = basic(b"oauth2:" + TOKEN.encode()) + b"ephemeral=1\n" + EXPIRY
AGAIN = b"state[]=credential_helper:" + STATE.encode() + b"\ncontinue=1\n"


@pytest.mark.parametrize(
    ("form", "state", "expected"),
    [
        ("password", None, PASSWORD),
        ("bearer", None, b"capability[]=authtype\n" + BEARER),
        ("basic", None, b"capability[]=authtype\n" + BASIC),
        ("password", STATE, b"capability[]=state\n" + PASSWORD + AGAIN),
        ("bearer", STATE, b"capability[]=authtype\ncapability[]=state\n" + BEARER + AGAIN),
        ("basic", STATE, b"capability[]=authtype\ncapability[]=state\n" + BASIC + AGAIN),
    ],
)
def test_each_form_byte_for_byte(form: git.Form, state: str | None, expected: bytes) -> None:
    assert render(form, state=state) == expected


@pytest.mark.parametrize(("expires_at", "line"), [(None, b""), (NOW + 9.9, b"password_expiry_utc=1900000009\n")])
def test_the_expiry_is_told_in_whole_seconds_where_it_is_known(expires_at: float | None, line: bytes) -> None:
    answer = render("password", expires_at=expires_at)
    assert answer.partition(TOKEN.encode() + b"\n")[2] == line


@pytest.mark.parametrize("token", ["a\nhost=evil", "a\rhost=evil", "a\0", "", "a b", "ä"])
@pytest.mark.parametrize("form", ["password", "bearer", "basic"])
def test_a_token_that_would_break_out_is_refused(form: git.Form, token: str) -> None:
    """CVE-2020-5260: a provider that answers ``"access_token": "a\\nhost=evil"``."""
    with pytest.raises(TokenResponseError):
        render(form, token=Secret(token))


@pytest.mark.parametrize("value", ["a\nhost=evil", "a\r", "\0"])
def test_no_value_is_more_than_one_line(value: str) -> None:
    with pytest.raises(TokenResponseError, match=r"^the state has a line end in it$"):
        git.write([("username", "ada"), ("state[]", value)])


def test_a_value_that_is_no_text_is_refused_and_bytes_of_git_s_own_are_not() -> None:
    with pytest.raises(TokenResponseError) as caught:
        git.write([("password", "canary\ud800")])
    assert caught.value.__cause__ is None
    assert git.write([("password", "\udcff")]) == b"password=\xff\n"


def all_errors() -> list[type[CredentialHelperError]]:
    """Return the tree of errors.py; others may have leaves of their own elsewhere."""
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, CredentialHelperError)]
    assert len(found) > 10
    return found


@pytest.mark.parametrize("kind", all_errors())
def test_mine_but_not_now_tells_git_to_ask_nobody_else(kind: type[CredentialHelperError]) -> None:
    more: dict[str, Any] = {"retry_after": 1.0} if kind is RateLimited else {}
    more |= {"exit_code": 66} if kind is errors.RememberedError else {}
    error = kind("sentence", **more)
    expected = b"quit=1\n" if error.exit_code in (66, 69, 74, 75, 76, 77, 78) else b""
    assert git.decline(error) == (expected, error.exit_code)


def test_what_is_off_or_our_own_defect_does_not_stop_git() -> None:
    assert CredentialHelperError.exit_code == 70
    for error in (errors.UsageError("x"), ProtocolError("x"), CredentialHelperError("x")):
        assert git.decline(error)[0] == b""


def test_the_capabilities_are_told_as_git_tells_its_own() -> None:
    assert TOOLS["git"].fixed["capability"] == b"version 0\ncapability authtype\ncapability state\n"


# --- other hosts' passwords -------------------------------------------------------------------------------------------

ALL = (
    HOST + b"path=a.git\nusername=ada\npassword=secret\npassword_expiry_utc=2000000000\noauth_refresh_token=again\n"
    b"wwwauth[]=Basic\nstate[]=x\ncontinue=1\nquit=0\nunknown=1\n"
)


def test_what_is_present_constrains() -> None:
    where = {"protocol": "https", "host": "git.example.com"}
    assert git.pattern(git.read(HOST)) == where
    assert git.pattern(git.read(ALL)) == {**where, "path": "a.git", "username": "ada"}
    assert git.pattern(git.read(HOST + b"username=\n")) == {**where, "username": ""}
    with_secrets = git.pattern(git.read(ALL + b"credential=c\n"), secrets=True)
    assert with_secrets == {**where, "path": "a.git", "username": "ada", "password": "secret", "credential": "c"}


def test_what_is_kept_is_what_git_needs_again() -> None:
    assert git.to_keep(git.read(ALL)) == {
        "protocol": "https",
        "host": "git.example.com",
        "path": "a.git",
        "username": "ada",
        "password": "secret",
        "password_expiry_utc": "2000000000",
        "oauth_refresh_token": "again",
    }
    header = git.to_keep(git.read(HOST + b"authtype=Bearer\ncredential=c\n"))
    assert header == {"protocol": "https", "host": "git.example.com", "authtype": "Bearer", "credential": "c"}
    assert git.to_keep(git.read(HOST + b"username=\npassword=\n")) is not None


@pytest.mark.parametrize(
    "data",
    [
        HOST + b"username=ada\n",
        HOST + b"password=secret\n",
        HOST + b"authtype=Bearer\n",
        HOST + b"credential=c\n",
        HOST + b"username=ada\npassword=secret\nephemeral=1\n",
        HOST + b"authtype=Bearer\ncredential=c\nephemeral=true\n",
        b"protocol=https\nusername=ada\npassword=secret\n",
        b"host=git.example.com\nusername=ada\npassword=secret\n",
        b"protocol=cert\npath=/key\nusername=\npassword=secret\n",
        b"",
    ],
)
def test_what_is_partial_ephemeral_or_nobody_s_is_not_kept(data: bytes) -> None:
    assert git.to_keep(git.read(data)) is None


KEPT = {"protocol": "https", "host": "h", "path": "p", "username": "ada", "oauth_refresh_token": "again"}


@pytest.mark.parametrize(
    ("attributes", "request_", "expected"),
    [
        ({"password": "s"}, b"", b"username=ada\npassword=s\noauth_refresh_token=again\n"),
        ({"password": "s"}, AUTHTYPE, b"username=ada\npassword=s\noauth_refresh_token=again\n"),
        ({"authtype": "Bearer", "credential": "c"}, b"", b""),
        (
            {"authtype": "Bearer", "credential": "c"},
            AUTHTYPE,
            b"capability[]=authtype\nusername=ada\nauthtype=Bearer\ncredential=c\noauth_refresh_token=again\n",
        ),
        (
            {"authtype": "Bearer", "credential": "c", "password": "s"},
            AUTHTYPE,
            b"capability[]=authtype\nusername=ada\nauthtype=Bearer\ncredential=c\noauth_refresh_token=again\n",
        ),
        (
            {"authtype": "Bearer", "credential": "c", "password": "s"},
            b"",
            b"username=ada\npassword=s\noauth_refresh_token=again\n",
        ),
        (
            {"password": "", "password_expiry_utc": "2000000000"},
            b"",
            b"username=ada\npassword=\npassword_expiry_utc=2000000000\noauth_refresh_token=again\n",
        ),
        ({}, AUTHTYPE, b""),
    ],
)
def test_a_stored_password_is_answered_in_a_form_that_git_understands(
    attributes: dict[str, str], request_: bytes, expected: bytes
) -> None:
    assert git.stored(KEPT | attributes, git.read(HOST + request_)) == expected


FORMS: tuple[Literal["password", "bearer", "basic"], ...] = ("password", "bearer", "basic")


def test_no_answer_names_a_host_a_protocol_or_a_path() -> None:
    """git would believe it [reference: a helper can override them]."""
    answers = [render(form, state=STATE) for form in FORMS]
    answers += [git.stored(KEPT | {"password": "s", "authtype": "B", "credential": "c"}, git.read(AUTHTYPE))]
    names = {line.partition(b"=")[0] for answer in answers for line in answer.splitlines()}
    assert not names & {b"host", b"protocol", b"path", b"url"}


class TestContract(ListedToolContract):
    tool = "git"
    words = ("get",)
    listed = 'git = ["https://git.example.com"]'
    mine = b"protocol=https\nhost=git.example.com\n\n"
    others = b"protocol=https\nhost=other.example.com\n\n"
    not_mine = (b"", 0)
    refused = (b"quit=1\n", 66)
    broken = ((b"protocol=https\nhost=git\r.example.com\n\n", b"", 65), (b"protocol\n", b"", 65))

    def token(self, stdout: bytes) -> str:
        return dict(line.split("=", 1) for line in stdout.decode().splitlines())["password"]
