"""Which certificates count: the operating system's (truststore), and those of the profile's ``ca_file`` beside them.

- On Linux, where OpenSSL's own folder has the names that c_rehash makes, OpenSSL looks there for the one root that it
  needs; reading all of them takes longer than a handshake. Somebody may have added to the bundle beside the folder
  alone, so a certificate that is not trusted by the folder is judged once more by everything (``Roots.provisional``).
- A certificate that is named counts as it is, root or not: an intermediate CA, or the server's own. Go and curl do so;
  OpenSSL needs VERIFY_X509_PARTIAL_CHAIN for it. On Windows a root has to be named.
- SSL_CERT_FILE and SSL_CERT_DIR say where the system's are, on Linux and elsewhere but macOS and Windows, for kubectl,
  docker and us. The latter is a list, which truststore takes for one folder, and OpenSSL looks in a folder for names
  that c_rehash made; where there are none, we read its files, as Go does. REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and
  GIT_SSL_CAINFO mean nothing here.
- Who can write to ``ca_file`` can read every token, so nobody else may.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from credential_helper.errors import ConfigurationError
from credential_helper.system import files
from credential_helper.text import Note, foreign

if TYPE_CHECKING:
    import ssl

_LIMIT = 4 << 20  # bytes: the operating systems' bundles have less than one MiB
_PEM = rb"(?s)-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----"
_HASHED = r"[0-9a-f]{8}\.[0-9]+"


class Roots(msgspec.Struct, frozen=True, kw_only=True):
    """The TLS settings of every connection, and what to do about a certificate that they do not trust."""

    context: ssl.SSLContext
    hint: str
    provisional: bool = False  # what it does not trust, all of the system's roots together may


def read_roots(ca_file: str | None, environ: Mapping[str, str], note: Note, *, everything: bool = False) -> Roots:
    """Read the certificates of a profile; ``everything``: whatever the system has, and not its folder alone.

    Raises ConfigurationError where a file cannot be used.
    """
    import ssl

    folder = None if everything else _hashed_folder(environ)
    if folder is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(capath=folder)
    else:
        import truststore

        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _add_the_systems(context, environ)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    provisional = folder is not None
    if ca_file is None:
        named = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if _counts(name, environ)), None)
        where = f"; {named} says where this machine's are" if named else ""
        remedy = "if that issuer is your organisation's own, name its certificate's file as ca_file in the profile"
        return Roots(context=context, hint=remedy + where, provisional=provisional)
    shown, data = foreign(ca_file), _read_ca_file(ca_file)
    count = _add(context, data)
    if count == 0:
        raise ConfigurationError(f"ca_file {shown} holds no certificate in PEM form", hint=_other_form(data, ca_file))
    note(f"ca_file {shown} holds {'a certificate' if count == 1 else f'{count} certificates'}")
    hint = f"ca_file {shown} does not hold that issuer's certificate: add it to the file"
    return Roots(context=context, hint=hint, provisional=provisional)


def _read_ca_file(path: str) -> bytes:
    shown = foreign(path)
    try:
        data, status = files.read_bytes(path, _LIMIT)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"ca_file {shown} {files.reason(error)}") from None
    if sys.platform != "win32" and status.st_uid not in (0, os.geteuid()):
        raise ConfigurationError(
            f"ca_file {shown} belongs to somebody else, who could choose what is trusted",
            hint="copy it to a file of your own, and name that one",
        )
    if files.others_may_write(path, status):
        raise ConfigurationError(
            f"others may write to ca_file {shown}, and so choose what is trusted",
            hint=f"chmod go-w {files.quoted(path)}",
        )
    return data


def _add(context: ssl.SSLContext, data: bytes) -> int:
    """Trust every certificate of a file, PEM or DER; return how many there are. What is broken is passed over."""
    import binascii
    import ssl

    if data.startswith((b"\xff\xfe", b"\xfe\xff")):  # PowerShell's > writes UTF-16
        data = data.decode("utf-16", "replace").encode()
    count = 0
    for der in [data] if data[:1] == b"\x30" else [found[1] for found in re.finditer(_PEM, data)]:
        try:
            context.load_verify_locations(cadata=der if der is data else binascii.a2b_base64(der))
        except (ssl.SSLError, ValueError):
            continue
        count += 1
    return count


def _other_form(data: bytes, path: str) -> str | None:
    """Say how to make PEM of what else is called a certificate, where that is known."""
    if b"-----BEGIN PKCS7-----" in data:
        return f"openssl pkcs7 -print_certs -in {files.quoted(path)} -out ca.pem"
    if b"-----BEGIN TRUSTED CERTIFICATE-----" in data:
        return f"openssl x509 -in {files.quoted(path)} -out ca.pem"
    return None


# --- the operating system's -------------------------------------------------------------------------------------------


def _counts(name: str, environ: Mapping[str, str]) -> bool:
    return sys.platform not in ("darwin", "win32") and bool(environ.get(name))


def _hashed_folder(environ: Mapping[str, str]) -> str | None:
    """Return the folder that OpenSSL finds its roots in by itself, None where that is not known."""
    import ssl

    if sys.platform != "linux" or any(_counts(name, environ) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")):
        return None
    folder = ssl.get_default_verify_paths().capath
    try:
        hashed = folder is not None and any(re.fullmatch(_HASHED, name) for name in os.listdir(folder))
    except OSError:
        return None
    return folder if hashed else None


def _add_the_systems(context: ssl.SSLContext, environ: Mapping[str, str]) -> None:
    """Do what OpenSSL, which reads these variables itself, leaves undone. Raises ConfigurationError."""
    if _counts("SSL_CERT_FILE", environ):
        path = environ["SSL_CERT_FILE"]
        # OpenSSL would wait for a FIFO, and read a device without end; what else is no file it passes over, as Go does.
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            raise ConfigurationError(f"SSL_CERT_FILE {foreign(path)} is not a regular file")
    if not _counts("SSL_CERT_DIR", environ):
        return
    for folder in environ["SSL_CERT_DIR"].split(os.pathsep):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        if any(re.fullmatch(_HASHED, name) for name in names):
            context.load_verify_locations(capath=folder)
            continue
        for name in names:
            try:
                _add(context, files.read_bytes(os.path.join(folder, name), _LIMIT)[0])
            except (OSError, ValueError):
                continue
