"""TLS where a browser comes back to an https redirect URI on loopback: the person's own certificate, and its key.

What a browser would refuse is refused before anybody is asked: it would show a warning in place of our page, and the
sign-in would be waited for in vain. Whether the browser trusts who issued the certificate is not known here.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError
from credential_helper.system import files
from credential_helper.text import foreign

if TYPE_CHECKING:
    import ssl

    from cryptography.x509 import Certificate

_LIMIT = 256 << 10  # bytes of a file
_MAKE_ONE = "mkcert 127.0.0.1 localhost ::1"  # https://github.com/FiloSottile/mkcert


def server_tls(certificate: str, private_key: str, *, host: str, now: float) -> ssl.SSLContext:
    """Return the TLS of a server on loopback; both are absolute paths of PEM files, ``host`` is as a URL has it.

    ``now`` is in seconds since the epoch. Raises ConfigurationError for what cannot be used.
    """
    import ssl

    _check_certificate(certificate, host=host, now=now)
    _check_key(private_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, private_key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(
                f"redirect_private_key {foreign(private_key)} is not the key of {foreign(certificate)}",
                hint="name the files that were made together",
            ) from None
        raise ConfigurationError(
            f"redirect_private_key {foreign(private_key)} holds no private key in PEM form that can be used"
        ) from None
    return context


def _no_password() -> str:
    raise ValueError


def _read(setting: str, path: str) -> tuple[bytes, os.stat_result]:
    try:
        return files.read_bytes(path, _LIMIT)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{setting} {foreign(path)} {files.reason(error)}") from None


def _check_certificate(path: str, *, host: str, now: float) -> None:
    from cryptography import x509

    where = f"redirect_certificate {foreign(path)}"
    try:
        one = x509.load_pem_x509_certificate(_read("redirect_certificate", path)[0])
        names = _names(one)
        begins, ends = one.not_valid_before_utc.timestamp(), one.not_valid_after_utc.timestamp()
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise ConfigurationError(
            f"{where} holds no certificate in PEM form that names its hosts", hint=_MAKE_ONE
        ) from None
    if not begins <= now <= ends:
        state = "has expired" if now > ends else "is not valid yet"
        day = time.strftime("%Y-%m-%d", time.gmtime(ends if now > ends else begins))
        raise ConfigurationError(f"{where} {state} ({day})", hint=_MAKE_ONE)
    if host.strip("[]") not in names:
        said = foreign(", ".join(sorted(names)), 200) or "no host"
        raise ConfigurationError(f"{where} is for {said}, not for {host}, where redirect_uri points to", hint=_MAKE_ONE)


def _names(certificate: Certificate) -> set[str]:
    """Return the hosts that a certificate is for; browsers look nowhere else (RFC 6125 §6.4.4)."""
    from cryptography import x509

    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(one) for one in alternatives.get_values_for_type(x509.IPAddress)}
    return addresses | {name.lower() for name in alternatives.get_values_for_type(x509.DNSName)}


def _check_key(path: str) -> None:
    """Refuse a key that others can read: with it they could take a browser's answer in our place."""
    data, status = _read("redirect_private_key", path)
    where = f"redirect_private_key {foreign(path)}"
    if sys.platform != "win32":
        if status.st_uid not in (0, os.geteuid()):
            raise ConfigurationError(f"{where} belongs to somebody else")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigurationError(f"{where} can be read by others", hint=f"chmod 600 {files.quoted(path)}")
    if b"ENCRYPTED" in data:
        raise ConfigurationError(
            f"{where} is encrypted, and there is nobody to ask for its password",
            hint=f"openssl pkey -in {files.quoted(path)} -out plain.pem, and keep that private",
        )
