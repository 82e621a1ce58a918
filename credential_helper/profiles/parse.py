"""What somebody wrote → what ``model.Profile`` holds; a value at a time, wherever it stands.

A value comes as ``Written``: the value, where it stands, and what kind of place that is. The same function serves the
file, the flags, the variables and a request; ``written`` says how what is wrong is said.

- A secret is never written out: only where to read it from, and that is not read here.
- In values ``-`` and ``_`` are equal, and the RFCs' own spellings are known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

import msgspec

from credential_helper import urls
from credential_helper.errors import CredentialHelperError
from credential_helper.model import SECRET_NAME, Source
from credential_helper.profiles.written import SINGLE_QUOTES, Written, items_of, typed
from credential_helper.text import either, foreign

_WORDS = '"op", "read", "…"'

_ABSOLUTE_URI = r"[A-Za-z][A-Za-z0-9+.-]*:[\x21\x22\x24-\x7e]+"  # RFC 3986 §4.3, so without a fragment

# What this program sets itself in a request (client_assertion… too); a parameter of that name would be sent twice. The
# last three change how, or to what, an authorization server answers (OAuth 2.0 Multiple Response Types, RFC 9101).
RESERVED_PARAMETERS = (
    *("grant_type", "client_id", "client_secret", "scope", "audience", "resource", "state", "nonce", "redirect_uri"),
    *("code", "code_verifier", "device_code", "refresh_token", "username", "password", "realm"),
    *("assertion", "subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"),
    *("response_type", "code_challenge", "code_challenge_method", "response_mode", "request", "request_uri"),
)

# --- what was written → what a Profile holds --------------------------------------------------------------------------


def text(written: Written) -> str:
    """Return a string that is not empty and holds nothing that a terminal, a header or UTF-8 chokes on."""
    value = typed(written, str, "a string")
    if not value:
        raise written.malformed("found an empty string")
    if value != value.strip(" "):
        raise written.malformed("has spaces around it")
    return _clean(written, value)


def _clean(written: Written, value: str) -> str:
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value):
        raise written.malformed("has a control character in it", hint=SINGLE_QUOTES if written.origin.is_file else None)
    if any(0xD800 <= ord(character) < 0xE000 for character in value):  # os.fsdecode of bytes that are not UTF-8
        raise written.malformed("is not UTF-8")
    return value


def choice(*allowed: str, also: Mapping[str, str] | None = None) -> Callable[[Written], str]:
    """Return a parser for one word of several; ``also`` spells some differently."""

    def parse(written: Written) -> str:
        value = typed(written, str, expected)
        word = value.replace("_", "-")
        word = (also or {}).get(word, word)
        if word not in allowed:
            echo = written.origin.is_file and len(value) <= 30
            raise written.malformed(
                f'found "{foreign(value)}", expected {expected}' if echo else f"expected {expected}"
            )
        return word

    expected = either(allowed)
    return parse


def boolean(written: Written) -> bool:
    """Return true or false; a variable says it in words, or as 1 or 0."""
    if written.origin.kind != "variable":
        return typed(written, bool, "true or false")
    said = {"true": True, "1": True, "false": False, "0": False}.get(written.value.lower())
    if said is None:
        raise written.malformed("expected true, false, 1 or 0")
    return said


def path(written: Written) -> str:
    """Return an absolute path; a relative one is allowed in a file only, and relative to that file.

    git runs us inside other people's checkouts, so a flag or a variable never means the current directory.
    """
    value = text(written)
    absolute = written.origin.expand(value)
    if absolute is None and written.origin.folder is not None and not value.startswith("~"):
        absolute = os.path.join(written.origin.folder, value)
    if absolute is None:
        expected = "a path that does not begin with ~NAME" if written.origin.is_file else "an absolute path or ~/…"
        raise written.malformed(f"expected {expected}")
    return absolute


def _parsed(written: Written, expected: str) -> urls.Url:
    try:
        return urls.parse_url(text(written))
    except ValueError as error:
        raise written.malformed(f"{error}, expected {expected}") from None


def http_url(written: Written) -> urls.Url:
    """Return an https URL, or an http one on loopback."""
    url = _parsed(written, "https://HOST[:PORT][/PATH]")
    if url.scheme == "http" and not url.loopback:
        raise written.impossible("is http, which is for loopback (127.0.0.1, [::1], localhost) only; expected https://")
    return url


def issuer(written: Written) -> str:
    """Return an issuer (RFC 8414 §2): https, or http on loopback, without query, fragment and user name."""
    if http_url(written).query is not None:
        raise written.impossible("has a query (?…), expected https://HOST[:PORT][/PATH]")
    return endpoint(written)


def endpoint(written: Written) -> str:
    """Return an endpoint's address (RFC 6749 §3.2: a query is allowed, a fragment is not)."""
    http_url(written)
    if not urls.has_url_characters(written.value):
        raise written.malformed("has a character in it that a URL cannot have (write it as %XX)")
    return text(written)


_NAMED_AUDIENCE = choice("issuer", "token_endpoint", also={"token-endpoint": "token_endpoint"})


def assertion_audience(written: Written) -> str:
    """Return whom an assertion is for: ``issuer`` or ``token_endpoint``, as the provider has it, or an absolute URI.

    RFC 7523 §3 allows any text; a word that is neither is a mistake, or a secret in the wrong place.
    """
    if re.fullmatch(_ABSOLUTE_URI, text(written)):
        return text(written)
    try:
        return _NAMED_AUDIENCE(written)
    except CredentialHelperError:
        raise written.malformed("expected issuer, token_endpoint or an absolute URI") from None


_REMOVED = r"(?i)(?:\.|%2e){0,2}|.*%(?:2f|5c).*"  # what a browser may make another path of
_REDIRECT_URI = "http://127.0.0.1[:PORT][/PATH]"  # https, too, with a certificate


def redirect_uri(written: Written) -> str:
    """Return where the browser brings the answer (RFC 8252 §7.3): on loopback, without query and fragment.

    Its host is as it was registered: a provider compares it letter by letter.
    """
    if not text(written).startswith(("http://", "https://")):
        raise written.malformed(f"does not begin with http://, expected {_REDIRECT_URI}")
    url = _parsed(written, _REDIRECT_URI)
    if not url.loopback:
        raise written.impossible(f"is not on this machine, expected {_REDIRECT_URI}")
    if not re.match(rf"https?://{re.escape(url.host)}(?=[:/]|$)", written.value):
        raise written.impossible(f"expected the host as it is registered: {', '.join(urls.LOOPBACK)}")
    if url.query is not None:
        raise written.impossible(f"has a query (?…), expected {_REDIRECT_URI}")
    # A browser would make another path of it before it comes here.
    if url.path and any(re.fullmatch(_REMOVED, part) for part in url.path.removesuffix("/").split("/")):
        raise written.impossible("has an empty, . or .. segment in its path")
    return endpoint(written)


def _one_or_more(written: Written) -> list[Written]:
    """Return the strings of a list, or the one string that stands in its place."""
    several = items_of(written, "") if isinstance(written.value, list) else [written]
    for item in several:
        typed(item, str, "a string or a list of strings")
    return several


def scope(written: Written) -> tuple[str, ...]:
    """Return scope tokens (RFC 6749 §3.3) of a string or a list; an empty one asks for none."""
    words: list[str] = []
    for item in _one_or_more(written):
        for word in _clean(item, item.value).split(" "):
            if not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]*", word):
                raise item.malformed('has a character that no scope may have (RFC 6749 §3.3: ASCII without " and \\)')
            words += [word] if word else []
    return tuple(words)


def resource(written: Written) -> tuple[str, ...]:
    """Return resource indicators (RFC 8707 §2): absolute URIs without a fragment; a string or a list."""
    several = _one_or_more(written)
    for item in several:
        if not re.fullmatch(_ABSOLUTE_URI, text(item)):
            raise item.malformed("expected an absolute URI without a fragment (RFC 8707 §2)")
    return tuple(item.value for item in several)


def parameter(written: Written) -> str:
    """Return the value of one more parameter; it may be empty."""
    return _clean(written, typed(written, str, "a string"))


def check_parameter_name(written: Written, name: str) -> None:
    """Refuse a parameter that this program sets itself (78, wherever it stands)."""
    if name in RESERVED_PARAMETERS or name.startswith("client_assertion"):
        raise written.impossible(
            f"this program sets {name} itself", hint="a setting of the profile may be what is meant"
        )


def source_env(written: Written) -> Source:
    """Return a variable as the source of a secret."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text(written)):  # not echoed: it may be the secret itself
        raise written.malformed("expected the name of a variable")
    return _allowed(written, Source(kind="env", value=(written.value,), origin=written.where))


def source_file(written: Written) -> Source:
    """Return a file as the source of a secret."""
    return _allowed(written, Source(kind="file", value=(path(written),), origin=written.where))


def source_command(written: Written) -> Source:
    """Return a command as the source of a secret; no shell reads its words."""
    words = [text(item) for item in items_of(written, f"a list of words, as [{_WORDS}] (no shell reads them)")]
    if not words:
        raise written.malformed("found an empty list, expected a command and its words")
    if "/" in words[0] or os.sep in words[0]:
        words[0] = path(written.part(0, words[0]))
    return _allowed(written, Source(kind="command", value=tuple(words), origin=written.where))


def source_keyring(written: Written) -> Source:
    """Return a name in the OS keyring, as ``secret set`` was given it, as the source of a secret."""
    if not re.fullmatch(SECRET_NAME, text(written)):  # not echoed: it may be the secret itself
        raise written.malformed("expected a name of up to 100 letters, digits, -, _ and .")
    return _allowed(written, Source(kind="keyring", value=(written.value,), origin=written.where))


_KINDS = {"env": source_env, "file": source_file, "command": source_command, "keyring": source_keyring}


def certificate(written: Written) -> Source:
    """Return where a client certificate is read: a path, or a table with one source as a secret has it.

    It is public, and nothing but the certificates of a file is ever sent: a path needs no leave.
    """
    if not isinstance(written.value, dict):
        return Source(kind="file", value=(path(written),), origin=written.where, public=True)
    if len(written.value) != 1 or not written.value.keys() <= _KINDS.keys():
        raise written.malformed("expected a path, or a table with one source", hint=write_instead("tls.certificate"))
    ((kind, value),) = written.value.items()
    return msgspec.structs.replace(_KINDS[kind](written.part(kind, value)), public=True)


def _allowed(written: Written, source: Source) -> Source:
    """Refuse a source that whoever wrote it here has no leave to name."""
    refusal = written.origin.refuses(source.kind, source.value[0])
    if refusal is not None:
        raise written.impossible(refusal[0], hint=refusal[1])
    return source


def write_instead(name: str) -> str:
    """Say how a secret's source is written."""
    return (
        f'write {name} = {{ env = "NAME" }}, {{ file = "PATH" }}, {{ keyring = "NAME" }} or {{ command = [{_WORDS}] }}'
    )
