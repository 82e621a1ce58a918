"""No input makes the helper answer for another host than the one that was asked for, crash, or print half an answer."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credential_helper.answers import git as git_answers
from credential_helper.app import App
from credential_helper.errors import ConfigurationError, CredentialHelperError, ProtocolError, TokenResponseError
from credential_helper.model import Credential, Identity, Profile, Secret
from credential_helper.tools import git, wire
from tests.helpers.clock import FakeClock
from tests.helpers.credentials import credential, patient
from tests.helpers.sessions import keep, token

OURS = b"git.example.com"
TOKEN = "the-access-token"
VICTIM = b"victim.example"
PASSWORD = "the-stored-password"

hosts = st.sampled_from(
    [
        *(OURS, OURS.upper(), OURS + b".", OURS + b":443", OURS + b":444", OURS + b"@evil.example", b"x" + OURS),
        *(VICTIM, VICTIM.upper(), VICTIM + b":443", b"evil.example", b"", b" ", b"[::1]", b"\xff"),
    ]
)
values = st.one_of(
    hosts, st.binary(max_size=12), st.sampled_from([b"https", b"http", b"authtype", b"state", b"1", b""])
)
keys = st.one_of(
    st.sampled_from(
        [
            *(b"protocol", b"host", b"path", b"username", b"password", b"credential", b"authtype", b"url", b"quit"),
            *(b"capability[]", b"state[]", b"wwwauth[]", b"ephemeral", b"continue", b"oauth_refresh_token", b"host[]"),
        ]
    ),
    st.binary(max_size=6),
)
usual = st.sampled_from(
    [
        *(b"protocol=https", b"host=" + OURS, b"host=" + VICTIM, b"host=evil.example", b"capability[]=authtype"),
        *(b"capability[]=state", b"wwwauth[]=Bearer", b"url=https://" + OURS + b"/x", b"url=https://evil.example"),
    ]
)
lines = st.one_of(usual, st.builds(lambda key, value: key + b"=" + value, keys, values), st.binary(max_size=20))
ends = st.sampled_from([b"\n"] * 12 + [b"\r\n", b"\r", b"\n\n", b"\0", b"", b"\r\r\n"])
requests = st.lists(st.tuples(lines, ends), max_size=12).map(lambda parts: b"".join(b"".join(part) for part in parts))


def asked_for(data: bytes) -> tuple[bytes, bytes] | None:
    """Read a request the slow and simple way: (protocol, host), None where nothing may be answered at all."""
    found = {b"protocol": b"", b"host": b""}
    stream = io.BytesIO(data)
    while line := stream.readline().removesuffix(b"\n").removesuffix(b"\r"):
        if b"\r" in line or b"\0" in line or b"=" not in line:
            return None
        key, value = line.split(b"=", 1)
        if key == b"url":
            url = re.fullmatch(rb"([^:]+)://(?:[^@/?#]*@)?([^/?#]*)([/?#].*)?", value, re.DOTALL)
            if url is None or b"%" in value:
                return None if url is None else (b"?", b"?")
            found = {b"protocol": url[1], b"host": url[2]}
        elif key in found:
            found[key] = value
    return found[b"protocol"], found[b"host"]


class Home:
    """A home with a signed-in session, a stored password and no provider that answers."""

    def __init__(self, folder: Path) -> None:
        self.environ = {
            "HOME": str(folder),
            "PATH": str(folder),
            "CREDENTIAL_HELPER_INTERACTIVE": "never",
            "CREDENTIAL_HELPER_PASSWORD_STORAGE": "file",
        }
        self.clock = FakeClock(time.time())
        config = folder / ".config" / "credential-helper" / "config.toml"
        config.parent.mkdir(parents=True)
        issuer = "http://127.0.0.1:1/"
        config.write_text(
            f'[profiles.prod]\nissuer = "{issuer}"\nclient_id = "c"\nstore = "none"\ngit = ["https://{OURS.decode()}"]\n'
        )
        profile = Profile(name="prod", issuer=issuer, client_id="c", store="none")
        access = token(TOKEN, self.clock.now(), age=90, left=360_000)
        keep(self.app().sessions(profile), profile, access=access)
        self.reply("store", b"protocol=https\nhost=" + VICTIM + b"\nusername=a\npassword=" + PASSWORD.encode() + b"\n")

    def app(self) -> App:
        return App(self.environ, clock=self.clock, verbose=False)

    def reply(self, operation: str, data: bytes, given: Mapping[str, object] | None = None) -> bytes:
        """Return what goes to stdout; what is not a sentence of ours is a crash."""
        try:
            return git_answers.OPERATIONS[operation](self.app(), given or {}, git.read(data)).stdout
        except CredentialHelperError as error:
            return git.decline(error)[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def is_whole(answer: bytes) -> bool:
    """Say whether git gets all of an answer, or none."""
    if answer in (b"", b"quit=1\n"):
        return True
    if not answer.endswith(b"\n") or b"\r" in answer or b"\0" in answer:
        return False
    names = [line.partition(b"=")[0] for line in answer.split(b"\n")[:-1]]
    once = [name for name in names if not name.endswith(b"[]")]
    password, header = {b"username", b"password"} <= set(once), {b"authtype", b"credential"} <= set(once)
    known = {b"username", b"password", b"authtype", b"credential", b"ephemeral", b"continue", b"password_expiry_utc"}
    return len(once) == len(set(once)) and set(once) <= known and password != header


def test_the_home_can_answer_at_all(home: Home) -> None:
    answer = home.reply("get", b"protocol=https\nhost=" + OURS + b"\ncapability[]=state\n")
    assert TOKEN.encode() in answer
    assert b"continue=1" in answer
    assert is_whole(answer)
    assert PASSWORD.encode() in home.reply("get", b"protocol=https\nhost=" + VICTIM + b"\n")
    assert not is_whole(b"username=a\n")
    assert not is_whole(b"username=a\npassword=b\nhost=x\n")


@settings(patient, max_examples=400)
@given(data=requests)
def test_only_the_host_that_is_asked_for_is_answered(home: Home, data: bytes) -> None:
    answer = home.reply("get", data)
    assert is_whole(answer)
    if TOKEN.encode() not in answer and PASSWORD.encode() not in answer:
        return
    asked = asked_for(data)
    assert asked is not None
    protocol, host = asked
    if (protocol, host) == (b"?", b"?"):  # a URL with %, which the simple reader leaves to git's own rules
        return
    assert protocol == b"https"
    if TOKEN.encode() in answer:
        assert host.lower().removesuffix(b":443").removesuffix(b".") == OURS
    else:
        assert host == VICTIM


@settings(patient, max_examples=200)
@given(data=requests, operation=st.sampled_from(["store", "erase"]))
def test_nothing_that_comes_drops_a_token_without_naming_it(home: Home, data: bytes, operation: str) -> None:
    assert home.reply(operation, data) == b""
    assert TOKEN.encode() in home.reply("get", b"protocol=https\nhost=" + OURS + b"\n")


@patient
@given(data=st.binary(max_size=200))
def test_no_bytes_make_it_crash(home: Home, data: bytes) -> None:
    assert is_whole(home.reply("get", data))


texts = st.text(max_size=20)


@patient
@given(
    token=texts | st.just(TOKEN),
    template=texts | st.sampled_from(["oauth2", "{name}"]),
    claim=texts,
    form=st.sampled_from(["password", "basic", "bearer"]),
    state=st.none() | st.just("0123456789abcdef"),
    expires_at=st.none() | st.floats(),
)
def test_whatever_the_provider_says_an_answer_is_whole_or_none(
    token: str, template: str, claim: str, form: git.Form, state: str | None, expires_at: float | None
) -> None:
    one: Credential = msgspec.structs.replace(credential, token=Secret(token), expires_at=expires_at)
    identity = Identity(subject="x", claims=(("name", claim),))
    try:
        answer = git.render(one, form=form, username=wire.username(template, identity), state=state)
    except (TokenResponseError, ConfigurationError):
        return
    lists = [line for line in answer.split(b"\n") if line.partition(b"=")[0].endswith(b"[]")]
    assert set(lists) <= {
        b"capability[]=authtype",
        b"capability[]=state",
        b"state[]=credential_helper:0123456789abcdef",
    }
    assert is_whole(answer)


stored: st.SearchStrategy[dict[str, str]] = st.dictionaries(
    st.sampled_from(["protocol", "host", "username", "password", "authtype", "credential", "password_expiry_utc"]),
    texts,
)


@patient
@given(attributes=stored, capable=st.booleans())
def test_whatever_is_stored_an_answer_is_whole_or_none(attributes: dict[str, str], capable: bool) -> None:
    message = git.read(b"capability[]=authtype\n" if capable else b"")
    try:
        answer = git.stored(attributes, message)
    except TokenResponseError:
        return
    names = {line.partition(b"=")[0] for line in answer.split(b"\n")[:-1]}
    assert not names & {b"protocol", b"host", b"path"}
    assert capable or not names & {b"authtype", b"credential"}
    assert is_whole(answer)


def test_the_simple_reader_refuses_what_git_refuses() -> None:
    assert asked_for(b"protocol=https\nhost=a\rhost=b\n") is None
    assert asked_for(b"protocol=https\r\nhost=a\r\n\r\nhost=b\n") == (b"https", b"a")
    with pytest.raises(ProtocolError):
        git.read(b"protocol=https\nhost=a\rhost=b\n")
