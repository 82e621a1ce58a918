"""What a sign-in brought and is not kept goes back to the provider."""

from __future__ import annotations

from credential_helper.errors import CredentialHelperError
from credential_helper.model import Secret
from credential_helper.oauth.endpoints import revocation
from credential_helper.oauth.provider import Provider
from credential_helper.text import Note


def give_back(provider: Provider, refresh_token: Secret | None, note: Note) -> None:
    """Revoke a refresh token that is not kept, or say under --verbose why it could not be revoked."""
    if refresh_token is not None:
        try:
            revocation.revoke(provider, refresh_token, "refresh_token")
        except CredentialHelperError as error:
            note(f"the refused sign-in was not revoked: {error.sentence}")
