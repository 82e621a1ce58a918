"""Addresses that may be used beside an issuer, and those that may not.

No exception here repeats an address: there may be a password in it.
"""

from __future__ import annotations

from credential_helper import urls


def is_loopback(host: str) -> bool:
    """Say whether a host is 127.0.0.1, ::1 (with or without brackets) or localhost; nothing else is loopback."""
    host = host.lower()
    return urls.is_loopback(f"[{host}]" if ":" in host and not host.startswith("[") else host)


def parse(address: str) -> urls.Url:
    """Return the parts of an http or https address.

    ValueError says in words what is wrong, and does not repeat the address: there may be a password in it.
    """
    url = urls.parse_url(address)
    if not urls.has_url_characters(address):
        raise ValueError("has a character in it that an address cannot have")
    return url


def authority_of(address: str) -> str:
    """Return the host of an http or https address, and the port where it was written: how a message names it.

    Raises ValueError as ``parse`` does.
    """
    return parse(address).authority


def address_problem(address: str, issuer: str) -> str | None:
    """Say what is wrong with an address of ``issuer``, None if nothing is; an issuer is judged by giving it twice.

    Beside an https issuer only https will do. An http issuer has to be loopback, and then only its own origin will.
    """
    try:
        url, own = parse(address), parse(issuer)
    except ValueError as error:
        return str(error)
    if own.scheme == "https":
        return None if url.scheme == "https" else f"is not https (http://{url.authority})"
    if not own.loopback:
        return f"is not https (http://{own.authority})"
    return None if url.origin == own.origin else f"is not on the issuer's own {own.origin} ({url.origin})"
