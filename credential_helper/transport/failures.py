"""What went wrong on the way to a provider and back, in one sentence.

Nothing of what requests and urllib3 say is repeated but the system's own words: they quote addresses and headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper import urls
from credential_helper.errors import AuthorizationError, CredentialHelperError, TransportError
from credential_helper.text import either, foreign
from credential_helper.transport.answer import Answer
from credential_helper.transport.connection import Exchange, causes
from credential_helper.transport.refused import EXPIRED, NOT_YET_VALID, OTHER_ADDRESS, OTHER_HOST, Refused

if TYPE_CHECKING:
    from credential_helper.transport.proxies import Proxy


def trouble(exchange: Exchange, remedy: str) -> CredentialHelperError:
    """Return the sentence for an exchange without an answer; ``remedy``: what to do if a certificate is not trusted.

    It is an AuthorizationError where the host refuses our client certificate, or wants one, else a TransportError.

    Nothing of what requests and urllib3 say is repeated but the system's own words: they quote addresses and headers.
    """
    if isinstance(exchange.error, TransportError):
        return TransportError(exchange.error.sentence)
    if exchange.refused is not None:
        return _untrusted(exchange.refused, exchange, remedy)
    chain = [] if exchange.error is None else causes(exchange.error)
    proxy = exchange.way.proxy
    if proxy is not None and exchange.at_proxy:
        return _proxy_trouble(exchange, proxy, chain)
    alert = _alert_about_us(exchange, chain)
    return _host_trouble(exchange, chain) if alert is None else _client_refused(exchange, alert)


def _is_among(chain: list[BaseException], *classes: type[BaseException]) -> bool:
    return any(isinstance(link, classes) for link in chain)


def _host_trouble(exchange: Exchange, chain: list[BaseException]) -> TransportError:
    import socket
    import ssl

    from urllib3 import exceptions as urllib3

    host, connect, deadline = exchange.host, exchange.way.connect, exchange.way.deadline
    through = "" if exchange.way.proxy is None else f" through the proxy {exchange.way.proxy.authority}"
    if exchange.error is None:
        what = "could not be reached" if exchange.step == "connect" else "did not finish its answer"
        return TransportError(f"{host} {what}{through} within {deadline:g} s")
    if _is_among(chain, socket.gaierror):
        return TransportError(f"{_lookup(chain)} ({host})", stale_address=True)
    if exchange.step == "connect" and _is_among(chain, OSError):
        if _is_among(chain, ConnectionRefusedError):
            return TransportError(f"{host} refused the connection")
        if _is_among(chain, TimeoutError):
            return TransportError(f"{host} could not be reached within {connect:g} s")
        return TransportError(f"{host} cannot be reached: {_system_words(chain)}")
    if _is_among(chain, urllib3.TimeoutError, TimeoutError):
        within = f"within {connect:g} s" if exchange.step == "handshake" else f"within {deadline:g} s"
        what = "its TLS handshake" if exchange.step == "handshake" else "its answer"
        return TransportError(f"{host} did not finish {what}{through} {within}")
    if _is_among(chain, urllib3.SSLError, ssl.SSLError):
        shown = exchange.way.certificate
        hint = None if shown is None else f"the server may not take keys of the kind that {shown.described} has"
        return TransportError(f"no TLS with {host}{through}: {_tls_words(chain)}", hint=hint, stale_address=True)
    if _is_among(chain, urllib3.HTTPError, OSError):
        shown = exchange.way.certificate
        return TransportError(
            f"{host} broke the connection off before its answer was complete",
            hint=None if shown is None else f"some servers refuse a client certificate so; it saw {shown.described}",
        )
    return TransportError(f"the exchange with {host} failed ({type(exchange.error).__name__})")


def _untrusted(refused: Refused, exchange: Exchange, remedy: str) -> TransportError:
    """Return the sentence for a certificate that was refused; a proxy that opens TLS shows one of its own."""
    whose, proxy = exchange.host, exchange.way.proxy
    if proxy is not None:
        of, by = f"the proxy {proxy.authority}", f"{whose} that comes through the proxy {proxy.authority}"
        whose = of if refused.of_proxy else by
    certificate = f"the certificate of {whose}" + (f", issued by {refused.issuer!r}," if refused.issuer else "")
    if refused.verify_code in (OTHER_HOST, OTHER_ADDRESS):
        return TransportError(f"{certificate} is for another host", stale_address=True)
    if refused.verify_code in (EXPIRED, NOT_YET_VALID):
        word = "has expired" if refused.verify_code == EXPIRED else "is not valid yet"
        return TransportError(f"{certificate} {word}", hint="is this machine's clock right?", stale_address=True)
    return TransportError(f"{certificate} is not trusted on this machine", hint=remedy, stale_address=True)


# What a server says of a client certificate, or of its absence, in an alert (RFC 8446 §6.2), and what to do about it.
# With TLS 1.3 it comes after the client's half of the handshake, so in place of the answer.
_UNKNOWN = (
    "register it with the provider, or what issued it ({issuer}); certificates in between stand after it in its file"
)
_ALERTS = {
    "BAD_CERTIFICATE": _UNKNOWN,
    "CERTIFICATE_UNKNOWN": _UNKNOWN,
    "UNKNOWN_CA": _UNKNOWN,
    "ACCESS_DENIED": _UNKNOWN,
    "DECRYPT_ERROR": "the server could not verify what its key has signed: another kind of key may do",
    "UNSUPPORTED_CERTIFICATE": "the server takes no certificate of its kind: another key, or another usage, may do",
    "CERTIFICATE_EXPIRED": "by the server's clock it, or what issued it, has expired: renew it",
    "CERTIFICATE_REVOKED": "it was revoked: have a new one issued",
    "CERTIFICATE_REQUIRED": "the server lists the authorities and keys that it takes, and this is none: see what "
    "issued it ({issuer})",
}
_NO_CLIENT = "; its extended key usage lacks clientAuth, which many servers demand"
_SHOW_ONE = (
    "tls = { certificate = …, private_key = … } in the profile shows one to the token endpoint and its like; metadata "
    "and keys are fetched without, and endpoints in the profile replace them"
)


def _alert_about_us(exchange: Exchange, chain: list[BaseException]) -> str | None:
    """Return the alert by which a host refuses the client, None where there is none, or none that says so."""
    import ssl

    reasons = (link.reason or "" for link in chain if isinstance(link, ssl.SSLError))
    alert = next((reason.partition("_ALERT_")[2] for reason in reasons if "_ALERT_" in reason), "")
    if exchange.way.certificate is None:
        return alert if alert == "CERTIFICATE_REQUIRED" else None
    return alert if alert in _ALERTS else None


def _client_refused(exchange: Exchange, alert: str) -> AuthorizationError:
    shown = exchange.way.certificate
    if shown is None:
        return AuthorizationError(f"{exchange.host} wants a client certificate (mutual TLS)", hint=_SHOW_ONE)
    said = alert.replace("_", " ").lower()
    hint = _ALERTS[alert].format(issuer=shown.issuer) + ("" if shown.for_clients else _NO_CLIENT)
    return AuthorizationError(f"{exchange.host} refused the client certificate {shown.described} ({said})", hint=hint)


def redirected(answer: Answer, shown: str) -> TransportError:
    """Return the sentence for a redirect."""
    location = answer.headers.get("location", "")
    try:
        target = urls.parse_url(location.partition("#")[0])
        where = f"to {target.scheme}://{target.authority}"
    except ValueError:
        authority = location[2:].partition("/")[0] if location.startswith("//") else ""
        where = f"to {foreign(authority.rpartition('@')[2], 100)}" if authority else "elsewhere on the same host"
    return TransportError(
        f"{answer.host} redirects {where if location else 'without saying where to'}, and no redirect is followed "
        f"({answer.status} for {shown})"
    )


def _proxy_trouble(exchange: Exchange, proxy: Proxy, chain: list[BaseException]) -> TransportError:
    """Return the sentence for what stopped us at the proxy."""
    from credential_helper.transport.connect import ConnectError

    refusal = next((link for link in chain if isinstance(link, ConnectError)), None)
    hint = f"the proxy is the one that {proxy.variable} names; hosts in NO_PROXY are reached without it"
    if refusal is not None and refusal.status == 407:
        hint = _login_hint(proxy, refusal.wanted)
    return TransportError(
        f"{exchange.host} cannot be reached through the proxy {proxy.authority}: {_proxy_words(exchange, chain)}",
        hint=hint,
    )


def _login_hint(proxy: Proxy, wanted: tuple[str, ...]) -> str:
    if wanted and "basic" not in (way.lower() for way in wanted):
        ways = either(wanted) if len(wanted) > 1 else wanted[0]
        return f"it takes {ways}, which is not supported: only a user name and a password (Basic) are"
    if proxy.login:
        return f"it does not take the user name and password of {proxy.variable}"
    return f"{proxy.variable}={proxy.scheme}://USER:PASSWORD@{proxy.authority}, with @ : / ? # % in them %-escaped"


def _proxy_words(exchange: Exchange, chain: list[BaseException]) -> str:
    import socket
    import ssl

    from credential_helper.transport.connect import ConnectError
    from credential_helper.transport.socks import SocksError

    way = exchange.way
    if not chain:  # the deadline
        return (
            f"it {'could not be reached' if exchange.step == 'connect' else 'did not answer'} within {way.deadline:g} s"
        )
    if said := next((link for link in chain if isinstance(link, SocksError | ConnectError)), None):
        return str(said)
    if _is_among(chain, socket.gaierror):
        return _lookup(chain)
    if _is_among(chain, ConnectionRefusedError):
        return "it refused the connection"
    if _is_among(chain, TimeoutError):
        what = "could not be reached" if exchange.step == "connect" else "did not answer"
        return f"it {what} within {way.connect:g} s"
    if _is_among(chain, ssl.SSLError):
        return f"no TLS with it: {_tls_words(chain)}"
    if _is_among(chain, ConnectionResetError, BrokenPipeError):
        return "it broke the connection off"
    return _system_words(chain)


def _lookup(chain: list[BaseException]) -> str:
    """Say why a name was not found."""
    import socket

    again = any(isinstance(link, socket.gaierror) and link.errno == socket.EAI_AGAIN for link in chain)
    return "no name server answers" if again else "no host has that name"


def _system_words(chain: list[BaseException]) -> str:
    """Return what the operating system says: "network is unreachable"."""
    return next((strerror(link) for link in chain if isinstance(link, OSError) and link.strerror), "no connection")


def strerror(error: OSError) -> str:
    """Return the operating system's words for an error, in lower case."""
    return foreign(error.strerror or "unreadable").lower()


def _tls_words(chain: list[BaseException]) -> str:
    """Return OpenSSL's reason in words: "wrong version number"."""
    said = (getattr(link, "reason", None) for link in chain)
    reason = next((text for text in said if isinstance(text, str) and text), "the handshake failed")
    return foreign(reason).replace("_", " ").lower()
