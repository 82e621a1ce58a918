"""The secrets of a client, read before its token is asked for; what proves them is loaded for who has such a one."""

from __future__ import annotations

from credential_helper.model import Profile
from credential_helper.oauth.provider import Provider


def bring_secrets(profile: Profile, provider: Provider, *, run: bool = True) -> None:
    """Read the client's secrets before signals are held: a command may take a minute, and Ctrl-C ends it.

    A private key or a certificate is looked into, too: one that is none needs no provider to be told. ``run``: commands
    are run.
    """
    if profile.client_authentication != "none":
        for read in (provider.client_secret, provider.private_key):
            if read is not None:
                read()
    if profile.workload is not None:
        from credential_helper.oauth.client_authentication import federated

        federated.look(provider)
    key = profile.private_key
    by_key = key is not None and profile.client_authentication in ("auto", "private_key_jwt")
    if key is not None and by_key and (run or key.source.kind != "command"):
        from credential_helper.oauth.client_authentication import private_key_jwt

        private_key_jwt.check(provider)
    if profile.tls is not None and (run or not any(source.kind == "command" for source in profile.tls)):
        from credential_helper.oauth.client_authentication import tls

        tls.check(provider)
