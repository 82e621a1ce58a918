"""A certificate that was refused: why, and who issued it."""

from __future__ import annotations

from typing import Any

import msgspec

from credential_helper.text import foreign

NOT_YET_VALID, EXPIRED, OTHER_HOST, OTHER_ADDRESS = 9, 10, 62, 64  # x509_vfy.h


class Refused(msgspec.Struct, frozen=True):
    """A certificate that was refused."""

    verify_code: int  # OpenSSL's X509_V_ERR_…; truststore uses the same numbers where it can tell
    issuer: str | None
    of_proxy: bool

    @property
    def for_its_issuer(self) -> bool:
        """Say whether nobody is known who vouches for it; else nobody could."""
        return self.verify_code not in (NOT_YET_VALID, EXPIRED, OTHER_HOST, OTHER_ADDRESS)


def refusal(verify_code: int, connection: Any, tls: Any, *, of_proxy: bool, final: bool) -> Refused:
    """Return what to say of a certificate that a connection refused.

    ``final``: more roots are not to be had, so who issued it is looked up, on a connection of the class ``tls``.
    """
    refused = Refused(verify_code, None, of_proxy)
    if refused.for_its_issuer and not final:
        return refused
    return Refused(verify_code, _issuer_of(connection, tls, of_proxy), of_proxy)


def _issuer_of(refused: Any, tls: Any, of_proxy: bool) -> str | None:
    """Look at a refused certificate again, on a connection (``tls``) of its own on which nothing is ever sent.

    Python does not show a certificate that it refused, and who issued it is what a person has to know.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    look = tls(
        refused.host,
        refused.port,
        timeout=refused.timeout,
        proxy=None if of_proxy else refused.proxy,
        proxy_config=None if of_proxy else refused.proxy_config,
        ssl_context=context,
        cert_reqs="CERT_NONE",
        assert_hostname=False,
    )
    try:
        if refused._tunnel_host is not None and not of_proxy:
            look.set_tunnel(refused._tunnel_host, refused._tunnel_port, scheme=refused._tunnel_scheme or "http")
        look.connect()
        return _issuer_name(look.sock.getpeercert(binary_form=True))
    except Exception:
        return None  # a sentence without the name is still true
    finally:
        look.close()


def _issuer_name(certificate: bytes) -> str | None:
    """Return who issued a certificate (DER): the common name, else the organisation."""
    from cryptography import x509  # PyJWT[crypto] brings it, and only a refused certificate asks for it
    from cryptography.x509.oid import NameOID

    issuer = x509.load_der_x509_certificate(certificate).issuer
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME):
        for attribute in issuer.get_attributes_for_oid(kind):
            if name := foreign(str(attribute.value), 100):
                return name
    return None
