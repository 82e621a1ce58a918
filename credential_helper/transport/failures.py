"""What went wrong on the way to a provider and back, in one sentence.

Nothing of what requests and urllib3 say is repeated but the system's own words: they quote addresses and headers.
"""

from __future__ import annotations

from credential_helper import urls
from credential_helper.errors import TransportError
from credential_helper.text import foreign
from credential_helper.transport.answer import Answer
from credential_helper.transport.connection import Exchange, Refused, causes

_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64  # x509_vfy.h


def trouble(exchange: Exchange) -> TransportError:
    """Return the sentence for an exchange without an answer.

    Nothing of what requests and urllib3 say is repeated but the system's own words: they quote addresses and headers.
    """
    import ssl

    from urllib3 import exceptions as urllib3

    host, (connect, deadline) = exchange.host, exchange.timeouts
    if exchange.error is None:
        what = "did not finish its answer" if exchange.connected else "could not be reached"
        return TransportError(f"{host} {what} within {deadline:g} s")
    if isinstance(exchange.error, TransportError):
        return TransportError(exchange.error.sentence)
    if exchange.refused is not None:
        return _untrusted(exchange.refused, f"the proxy {exchange.proxy}" if exchange.refused.of_proxy else host)
    chain = causes(exchange.error)

    def caused_by(*classes: type[BaseException]) -> bool:
        return any(isinstance(link, classes) for link in chain)

    if exchange.proxy is not None and (reason := _proxy_trouble(chain)):
        return TransportError(
            f"{host} cannot be reached through the proxy {exchange.proxy}: {reason}",
            hint="the proxy is the one that HTTPS_PROXY or the system names; hosts in NO_PROXY are reached without it",
        )
    if caused_by(urllib3.NameResolutionError):
        return TransportError(f"{_lookup(chain)} ({host})", stale_address=True)
    if caused_by(urllib3.NewConnectionError):
        if caused_by(ConnectionRefusedError):
            return TransportError(f"{host} refused the connection")
        return TransportError(f"{host} cannot be reached: {_system_words(chain)}")
    if caused_by(urllib3.ConnectTimeoutError):
        return TransportError(f"{host} could not be reached within {connect:g} s")
    if caused_by(urllib3.TimeoutError, TimeoutError):
        return TransportError(f"{host} did not finish its answer within {deadline:g} s")
    if caused_by(urllib3.SSLError, ssl.SSLError):
        return TransportError(f"no TLS with {host}: {_tls_words(chain)}", stale_address=True)
    if caused_by(urllib3.HTTPError, OSError):
        return TransportError(f"{host} broke the connection off before its answer was complete")
    return TransportError(f"the exchange with {host} failed ({type(exchange.error).__name__})")


def _untrusted(refused: Refused, host: str) -> TransportError:
    """Return the sentence for a certificate that was refused."""
    certificate = f"the certificate of {host}" + (f", issued by {refused.issuer!r}," if refused.issuer else "")
    if refused.verify_code in (_OTHER_HOST, _OTHER_ADDRESS):
        return TransportError(f"{certificate} is for another host", stale_address=True)
    if refused.verify_code in (_EXPIRED, _NOT_YET_VALID):
        word = "has expired" if refused.verify_code == _EXPIRED else "is not valid yet"
        return TransportError(f"{certificate} {word}", hint="is this machine's clock right?", stale_address=True)
    return TransportError(
        f"{certificate} is not trusted on this machine",
        hint="if that issuer is your organisation's own, name its certificate's file as ca_file in the profile",
        stale_address=True,
    )


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


def _proxy_trouble(chain: list[BaseException]) -> str | None:
    """Return what stopped us at the proxy, None when the trouble is beyond it."""
    from requests.exceptions import InvalidProxyURL, InvalidSchema
    from urllib3 import exceptions as urllib3

    if any(isinstance(link, InvalidSchema) for link in chain):
        return "it is a SOCKS proxy, and the package PySocks is not installed"
    if any(isinstance(link, InvalidProxyURL | urllib3.LocationValueError) for link in chain):
        return "that is no address of a proxy"
    if not any(isinstance(link, urllib3.ProxyError) for link in chain):
        return None
    if any(isinstance(link, urllib3.NameResolutionError) for link in chain):
        return _lookup(chain)
    if any(isinstance(link, ConnectionRefusedError) for link in chain):
        return "it refused the connection"
    for link in chain:
        said = str(link)
        if isinstance(link, OSError) and said.startswith("Tunnel connection failed: "):
            return f"it said {foreign(said.removeprefix('Tunnel connection failed: '), 100)}"
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
