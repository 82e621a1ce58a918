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
    "redirect_url_hostname": "redirect_uri",
    "local_server_cert": "redirect_certificate",
    "local_server_key": "redirect_private_key",
}
_NEEDLESS = {
    "browser_command": "BROWSER names another browser",
    "force_refresh": "credential-helper refresh renews now",
    "pkce_method": "PKCE is always used",
    "use_pkce": "PKCE is always used",
    "token_cache_dir": "CREDENTIAL_HELPER_STATE_DIR says where tokens are kept",
    "certificate_authority_data": "write the certificate into a file, and its path as ca_file",
    "insecure_skip_tls_verify": "certificates are always checked; ca_file names one more to trust",
    "skip_open_browser": 'flow = "device" opens none, and credential-helper login has --no-browser',
}

_ENDPOINTS = {
    "authorization": ("authorization_endpoint", "oauthauthurl", "auth_uri", "auth_url", "authorization_url"),
    "token": ("token_endpoint", "oauthtokenurl", "token_uri", "token_url"),
    "device_authorization": ("device_authorization_endpoint", "oauthdeviceauthurl", "device_authorization_url"),
    "revocation": ("revocation_endpoint", "revocation_url", "revoke_uri"),
    "pushed_authorization_request": ("pushed_authorization_request_endpoint",),
    "jwks": ("jwks_uri", "jwks_url"),
}
# What others call the same: a provider's metadata, git-credential-oauth, Google's client files, and SDKs.
_OTHERS = {
    **{theirs: f"endpoints.{ours}" for ours, names in _ENDPOINTS.items() for theirs in names},
    "oauthclientid": "client_id",
    "oauthclientsecret": "client_secret",
    "oauthscopes": "scope",
    "oauthredirecturl": "redirect_uri",
    "redirect_uris": "redirect_uri",
    "domain": "issuer",
    "authority": "issuer",
    "tenant": "issuer",
    "tenant_id": "issuer",
    "tenantid": "issuer",
}
_AS = {"issuer": 'write issuer = "https://…", the whole address, as the page of your provider has it'}
_DOCKERS = ("auths", "credhelpers", "credsstore", "cred_helpers", "creds_store", "credential_helpers")


def meant(key: str) -> str | None:
    """Return the setting that an unknown key of a profile stands for; None: it is known, or stands for nothing."""
    if key in PROFILE_KEYS:
        return None
    return _KUBELOGIN.get(_plain(key)) or _OTHERS.get(_plain(key)) or nearest_word(key, PROFILE_KEYS)


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
    if known in _OTHERS:
        here = _OTHERS[known]
        hint = write_instead(here) if here == "client_secret" else _AS.get(here, f"write {here} = …")
        return f"unknown key; here it is {here}", hint
    if known in _DOCKERS:
        return "is docker's word", 'write it into ~/.docker/config.json; here docker = ["HOST"] lists the registries'
    ours = _KUBELOGIN.get(known)
    if known in _NEEDLESS:
        return f"is kubelogin's word, and is not needed: {_NEEDLESS[known]}", "take the line out"
    if ours is None or key.replace("-", "_").lower() == ours:
        return None
    hint = write_instead(ours) if ours == "client_secret" else f"write {ours} = …, as docs/from-kubelogin.md has it"
    return f"is kubelogin's word; here it is {ours}", hint
