"""Keys that belong somewhere else: at the top of the file, or into the words of another program."""

from __future__ import annotations

from credential_helper.profiles.parse import write_instead
from credential_helper.profiles.settings import PROFILE_KEYS
from credential_helper.profiles.written import Refusal, Written, nearest_word

TOP_LEVEL = ("default_profile", "password_storage", "secret_files", "profiles")

# What kubelogin calls the same, without its ``oidc-``; where there is nothing of the kind, why.
_KUBELOGIN = {
    "issuer_url": "issuer",
    "client_id": "client_id",
    "client_secret": "client_secret",
    "extra_scope": "scope",
    "extra_scopes": "scope",
    "redirect_url": "redirect_uri",
    "redirect_uri": "redirect_uri",
    "auth_request_extra_params": "parameters",
    "authentication_request_extra_params": "parameters",
    "use_access_token": "token",
    "grant_type": "flow",
    "certificate_authority": "ca_file",
    "listen_address": "redirect_uri",
    "username": "account",
    "token_cache_storage": "store",
}
_NEEDLESS = {
    "pkce_method": "PKCE is always used",
    "use_pkce": "PKCE is always used",
    "token_cache_dir": "CREDENTIAL_HELPER_STATE_DIR says where tokens are kept",
    "certificate_authority_data": "write the certificate into a file, and its path as ca_file",
    "insecure_skip_tls_verify": "certificates are always checked; ca_file names one more to trust",
    "skip_open_browser": 'flow = "device" opens none, and credential-helper login has --no-browser',
}


def meant(key: str) -> str | None:
    """Return the setting that an unknown key of a profile stands for; None: it is known, or stands for nothing."""
    if key in PROFILE_KEYS:
        return None
    return _KUBELOGIN.get(_plain(key)) or nearest_word(key, PROFILE_KEYS)


def of_kubelogin(key: str) -> str | None:
    """Return the setting that kubelogin calls so, with its ``oidc-``; None: that is no word of its own."""
    return _KUBELOGIN.get(_plain(key)) if key.lower().startswith(("oidc-", "oidc_")) else None


def _plain(key: str) -> str:
    return key.lower().replace("-", "_").removeprefix("oidc_")


def of_a_profile(part: Written, key: str) -> Refusal | None:
    """Say what a key below [profiles.NAME] is that no profile has; None: nothing that is known."""
    if key in TOP_LEVEL and key != "profiles":
        name = part.path[1] if len(part.path) > 1 else "NAME"
        return (
            f"stands below [profiles.{name}], and is no key of a profile",
            f"write {key} above the first line that begins with [",
        )
    known = _plain(key)
    ours = _KUBELOGIN.get(known)
    if known in _NEEDLESS:
        return f"is kubelogin's word, and is not needed: {_NEEDLESS[known]}", "take the line out"
    if ours is None or key.replace("-", "_").lower() == ours:
        return None
    hint = write_instead(ours) if ours == "client_secret" else f"write {ours} = …, as docs/from-kubelogin.md has it"
    return f"is kubelogin's word; here it is {ours}", hint
