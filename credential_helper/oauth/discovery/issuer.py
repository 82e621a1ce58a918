"""The issuer: what a provider may call itself, and where.

A document's issuer must be the configured one but for one final slash, whose form in the document is adopted (OpenID
Connect Discovery 1.0 §4.3 wants it identical). Where the row in providers.py says so, it may hold the literal
{tenantid} in the place of a tenant. An ID token's issuer is then that of the tenant which the token itself names, and
a key may sign for its own tenant only. At the redirect_uri (RFC 9207) a provider may call itself otherwise, if its row
says so.

Nothing is asked here, and nothing is read: values in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from credential_helper.errors import TokenResponseError
from credential_helper.providers import TENANT, KnownProvider
from credential_helper.text import foreign
from credential_helper.transport.addresses import parse

# A tenant's id: a GUID, as Entra writes it.
_TENANT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Issuer(msgspec.Struct, frozen=True):
    """A profile's issuer, read by its provider's row."""

    configured: str
    known: KnownProvider

    @property
    def base(self) -> str:
        """Return what {issuer} stands for in the templates of the row."""
        base = self.configured.rstrip("/")
        for template in self.known.response_issuers:
            base = base.removesuffix(template.format(issuer=""))
        return base

    @property
    def spellings(self) -> tuple[str, str]:
        """Return what ``iss`` may be in an ID token where no document says: without the final slash, and with it.

        In the place of a word for several tenants {tenantid} stands, see ``is_one_of``.
        """
        bare = (self._with_tenant() or self.configured).removesuffix("/")
        return (bare, f"{bare}/")

    def adopt(self, published: object) -> str:
        """Return the document's form of the issuer; it may differ from the configured one by one final slash.

        OIDC Discovery §4.3 wants it identical. Entra's common/v2.0 calls itself {tenantid}/v2.0: so far that is
        relaxed, and for those words only that the row names. Raises TokenResponseError.
        """
        for own in (self.configured, *self._several_tenants()):
            if isinstance(published, str) and own in (published, f"{published}/", published.removesuffix("/")):
                return published
        named = foreign(published) if isinstance(published, str) else "nothing"
        raise TokenResponseError(
            f"the metadata at {foreign(self.configured)} is that of another issuer ({named})",
            hint=self.known.issuer_form or "the issuer in the profile must be exactly the provider's own",
        )

    def is_one_of(self, issuers: tuple[str, ...], iss: object, tid: object) -> bool:
        """Say whether an ID token with these two claims is by one of ``issuers`` (OIDC Core §3.1.3.7, point 2).

        Where the issuer names no tenant, it is the one that ``tid`` names, and that has to be a tenant's id: whatever
        else stood there could make another address of it.
        """
        for issuer in issuers:
            if TENANT in issuer:
                only = self.known.tenants[self._first_segment()]
                if not isinstance(tid, str) or not _TENANT_ID.fullmatch(tid) or tid != (only or tid):
                    continue
                issuer = issuer.replace(TENANT, tid)
            if iss == issuer:
                return True
        return False

    def is_response_name(self, iss: str) -> bool:
        """Say whether the row has the provider call itself so in an authorization response (RFC 9207 §2.4)."""
        return iss in (template.format(issuer=self.base) for template in self.known.response_issuers)

    def is_key_for(self, key: Mapping[str, object], iss: object, tid: object) -> bool:
        """Say whether a key may sign for the issuer of an ID token with these two claims.

        Entra's keys for several tenants have an ``issuer``, that of one tenant or one with {tenantid} for any: without
        a look at it each tenant's key could sign for each other
        (https://learn.microsoft.com/entra/identity-platform/access-tokens, "Validate the signing key issuer").
        """
        if not self.known.tenants or "issuer" not in key:
            return True
        own = key["issuer"]
        return isinstance(own, str) and iss == (own.replace(TENANT, tid) if isinstance(tid, str) else own)

    def _first_segment(self) -> str:
        return parse(self.configured).path.partition("/")[0]

    def _with_tenant(self) -> str | None:
        """Return the issuer with {tenantid} in the place of a word for several tenants; None: there is no such word."""
        scheme, _, rest = self.configured.partition("://")
        authority, _, path = rest.partition("/")
        word, slash, remainder = path.partition("/")
        return f"{scheme}://{authority}/{TENANT}{slash}{remainder}" if word in self.known.tenants else None

    def _several_tenants(self) -> tuple[str, ...]:
        """Return what the document of an issuer for several tenants may call itself."""
        template = self._with_tenant()
        if template is None:
            return ()
        only = self.known.tenants[self._first_segment()]
        return (template,) if only is None else (template, template.replace(TENANT, only))


def tenant_in(iss: str) -> str | None:
    """Return the tenant's id that an issuer names, None where it names none."""
    found = _TENANT_ID.search(iss)
    return found and found[0]
