"""Signing in with a browser on this machine (RFC 6749 §4.1, RFC 8252, RFC 7636, OIDC Core §3.1).

- The port is ours before anybody is asked: where it is taken, nothing has happened yet. A fixed one is waited for a
  little, because another profile's sign-in may have it; not where ``auto`` has a code to turn to.
- Verifier (S256), state and nonce are new for each sign-in. The nonce goes with ``openid`` only, and along with the
  tokens to whoever checks the ID token.
- The listener waits over whatever is not a well-formed callback with our state (see loopback). One that is ends the
  sign-in, also where it does not come from the issuer (RFC 9207 §2.4): then another server was asked, the browser was
  brought here by it, and waiting for a better answer would only help a mix-up (RFC 9700 §4.4). Of a provider that does
  not send ``iss`` nothing tells its answer from another's: there the defence would be a redirect URI of its own for
  each issuer (RFC 9700 §4.4.2.2), which the profile's ``redirect_uri`` allows.
- Where the browser is on another machine, its last address may be pasted instead. It is judged as if the browser had
  brought it; what is no callback of this sign-in is told, and the wait goes on.
- Where the provider or the profile want it, the request is pushed first (RFC 9126), and the browser brings a reference.
  A request that has to be signed (RFC 9101) is refused before anybody is asked.
- A code is exchanged once, whatever becomes of that: a second time makes some providers revoke what the first brought
  (RFC 6749 §4.1.2).
- The browser gets its page when everything is over, so that it tells the truth; and however this ends, nobody listens
  any more.
"""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus, urlencode

import msgspec

from credential_helper.errors import AuthorizationError, ConfigurationError, TransportError
from credential_helper.model import Prompt, Secret, Tokens
from credential_helper.oauth.endpoints import form, pushed_request, reply, token_endpoint
from credential_helper.oauth.endpoints.reply import Refusal
from credential_helper.oauth.endpoints.wording import SIGNED_REQUEST
from credential_helper.oauth.grants import prompts
from credential_helper.oauth.grants.loopback import Listener, PortTaken
from credential_helper.text import foreign
from credential_helper.transport.server_tls import server_tls
from credential_helper.urls import parse_url

if TYPE_CHECKING:
    from ssl import SSLContext

    from credential_helper.errors import CredentialHelperError
    from credential_helper.oauth.discovery.metadata import Metadata
    from credential_helper.oauth.interaction import Interaction
    from credential_helper.oauth.provider import Provider

GRANT_TYPE = "authorization_code"
DEADLINE = 300.0  # seconds that a person has
REMINDER = 60.0  # seconds after which the browser may be standing before an error that only the provider can show
PORT = 10.0  # seconds that a fixed port may be in use
_PORT_AGAIN = 0.5  # seconds between two tries


def sign_in(provider: Provider, interaction: Interaction) -> None:
    """Let a person sign in with a browser; the tokens go to ``interaction.redeem``.

    Raises PortTaken before anybody is asked; AuthorizationError (``error`` is "access_denied" when the person declined,
    "expired_token" when nobody answered in time), TransportError, RateLimited, TokenResponseError, ConfigurationError,
    and what the interaction raises.
    """
    metadata = provider.metadata(fresh=True)
    endpoint = _endpoint(metadata)
    if metadata.require_signed_request_object:
        sentence, hint = SIGNED_REQUEST
        raise AuthorizationError(f"{provider.host} {sentence}", error="invalid_request_object", hint=hint)
    once = _Once.drawn(nonce="openid" in provider.scopes())
    listener = _listener(provider, interaction, once.state)
    try:
        interaction.at_end(listener.finish)
        prompt = prompts.made_now(
            provider,
            tool=interaction.tool,
            target=interaction.target,
            lifetime=DEADLINE,
            interval=DEADLINE,
            flow="browser",
            verification_uri=_with_query(endpoint, _asked(provider, once, listener.redirect_uri)),
            redirect_uri=listener.redirect_uri,
        )
        interaction.ask(prompt)
        _wait(provider, interaction, listener, prompt)
        code = _code(provider, listener.parameters, once)
        interaction.redeem(lambda: _exchange(provider, code, once, listener.redirect_uri))
    except BaseException:
        listener.close()
        raise


class _Once(NamedTuple):
    """What is good for one sign-in."""

    verifier: Secret  # RFC 7636 §4.1: 43 to 128 characters
    state: str
    nonce: str | None

    @classmethod
    def drawn(cls, *, nonce: bool) -> _Once:
        from secrets import token_urlsafe

        return cls(Secret(token_urlsafe(32)), token_urlsafe(32), token_urlsafe(32) if nonce else None)

    @property
    def challenge(self) -> str:
        """S256 of the verifier (RFC 7636 §4.2)."""
        import hashlib

        digest = hashlib.sha256(self.verifier.reveal().encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


# --- the authorization request (RFC 6749 §4.1.1) ----------------------------------------------------------------------


def _request(provider: Provider, once: _Once, redirect_uri: str) -> list[tuple[str, str]]:
    """Return the parameters of the request: none empty, none but ``resource`` twice (§3.1).

    The profile's ``parameters`` take the place of those that the provider is known to need.
    """
    profile = provider.profile
    own = {name for name, _ in profile.parameters}
    fields = [
        ("response_type", "code"),
        ("client_id", profile.client_id),
        ("redirect_uri", redirect_uri),
        ("state", once.state),
        ("nonce", once.nonce or ""),
        ("code_challenge", once.challenge),
        ("code_challenge_method", "S256"),
        *form.what_for(provider, everything=True),
        *profile.parameters,
        *((name, value) for name, value in provider.authorization_parameters() if name not in own),
        ("login_hint", profile.account or ""),
    ]
    return form.tidy(fields)


def _asked(provider: Provider, once: _Once, redirect_uri: str) -> list[tuple[str, str]]:
    """Return the parameters that the browser brings: the request, or a reference to a pushed one (RFC 9126 §4)."""
    fields = _request(provider, once, redirect_uri)
    if not pushed_request.is_wanted(provider):
        return fields
    try:
        reference = pushed_request.push(provider, fields, patience=DEADLINE)
    except Refusal as refusal:
        if "redirect" in refusal.details and refusal.error in ("invalid_request", "invalid_redirect_uri"):
            refusal.hint = _where_to_register(_redirect_uri(provider), redirect_uri)
        raise
    return [("client_id", provider.profile.client_id), ("request_uri", reference)]


def _listener(provider: Provider, interaction: Interaction, state: str) -> Listener:
    """Listen at the redirect_uri. Nobody has seen a prompt yet, so the wait for a port is short, and is told."""
    clock, patience = provider.clock, 0.0 if _has_another_way(provider) else PORT
    end = clock.monotonic() + patience
    told = False
    tls = _tls(provider)
    while True:
        try:
            return Listener(_redirect_uri(provider), state=state, tls=tls)
        except PortTaken as taken:
            if taken.in_use is None or clock.monotonic() >= end:
                raise
            if not told:
                interaction.tell(f"port {taken.in_use} is in use; waiting {patience:.0f} s for it")
            told = True
        clock.sleep(_PORT_AGAIN)


def _tls(provider: Provider) -> SSLContext | None:
    """Return what an https redirect URI is served with. Raises ConfigurationError."""
    certificate, key = provider.profile.redirect_certificate, provider.profile.redirect_private_key
    if certificate is None or key is None or not _redirect_uri(provider).startswith("https:"):
        return None
    host = parse_url(_redirect_uri(provider)).host
    return server_tls(certificate, key.value[0], host=host, now=provider.clock.now())


def _has_another_way(provider: Provider) -> bool:
    """Say whether ``auto`` would ask for a code where nobody can listen."""
    offered = "device" in provider.known.flows and provider.metadata().device_authorization_endpoint is not None
    return provider.profile.flow == "auto" and offered


def _redirect_uri(provider: Provider) -> str:
    return provider.profile.redirect_uri or provider.known.redirect_uri


def _endpoint(metadata: Metadata) -> str:
    endpoint = metadata.address("authorization_endpoint")
    if endpoint is None:
        raise ConfigurationError(
            "the provider offers no sign-in with a browser (no authorization_endpoint in its metadata)",
            hint="set endpoints.authorization if it has one, or choose another flow",
        )
    return endpoint


def _with_query(endpoint: str, fields: Collection[tuple[str, str]]) -> str:
    """Add parameters to an address, whose own stay as they are (§3.1) unless they would come twice."""
    address, _, query = endpoint.partition("?")
    ours = {name for name, _ in fields}
    theirs = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) not in ours]
    return f"{address}?{'&'.join([*theirs, urlencode(list(fields))])}"


def _wait(provider: Provider, interaction: Interaction, listener: Listener, prompt: Prompt) -> None:
    """Wait for the callback; by both clocks, because one stands still on a suspended machine and one can be set."""
    clock = provider.clock
    end = clock.monotonic() + DEADLINE
    register = _where_to_register(_redirect_uri(provider), listener.redirect_uri)
    pause = msgspec.structs.replace(prompt, next_poll=prompt.made_at + REMINDER)

    def until(seconds: float) -> bool:
        """Look whether the browser's last address was pasted, and wait for the browser itself."""
        address = interaction.pasted()
        problem = listener.take(address.reveal()) if address is not None else None
        if problem is not None:
            interaction.tell(problem)
        return listener.wait(seconds)

    while not listener.wait(0.0):
        if clock.now() >= prompt.expires_at or clock.monotonic() >= end:
            raise AuthorizationError(
                f"nobody signed in at {provider.host} within {DEADLINE / 60:.0f} minutes",
                error="expired_token",
                hint=register,
            )
        if clock.now() >= pause.next_poll:
            interaction.warn("nothing has come back from the browser yet", hint=register)
            pause = prompt
        interaction.pause(pause, until=until)


def _where_to_register(redirect_uri: str, sent: str) -> str:
    """Say what to do if the provider has shown an error instead of its sign-in: it must not send the browser here then.

    RFC 8252 §7.3 has it allow any port; not every provider does.
    """
    any_port = "" if sent == redirect_uri else ", for any port (else set redirect_uri to one with a port)"
    return (
        f"if the browser showed an error about the redirect or callback URL, register {redirect_uri} at the provider"
        f'{any_port}, or use flow = "device"'
    )


# --- the authorization response (RFC 6749 §4.1.2) ---------------------------------------------------------------------


def _code(provider: Provider, parameters: dict[str, str], once: _Once) -> Secret:
    """Return the code of a callback that is the issuer's and no error."""
    refusal = _refusal(provider, parameters, once) if "error" in parameters else None
    problem = _issuer_problem(provider, parameters.get("iss"))
    if problem is not None:
        details = f" {refusal.details}" if refusal else ""
        raise AuthorizationError(
            problem + details, hint="nothing of it was used; sign in again, and look where the browser goes"
        )
    if refusal is not None:
        raise _in_words(provider, refusal)
    return Secret(parameters["code"])


def _issuer_problem(provider: Provider, iss: str | None) -> str | None:
    """Say why an answer is not to be believed (RFC 9207 §2.4), None if it is."""
    if iss is None:
        if not provider.metadata().authorization_response_iss_parameter_supported:
            return None
        return f"the browser brought an answer that does not say that it is {provider.host}'s (no iss in it)"
    if provider.is_response_issuer(iss):
        return None
    return f"the browser brought an answer of another issuer ({foreign(iss)}), not of {provider.host}"


def _refusal(provider: Provider, parameters: dict[str, str], once: _Once) -> Refusal:
    """Return an error response as the token endpoint's errors are (§4.1.2.1); the state is not repeated."""
    return reply.refusal(
        provider,
        parameters["error"],
        parameters.get("error_description", ""),
        grant_type=GRANT_TYPE,
        refused="refused the sign-in",
        secrets=(once.state,),
    )


def _in_words(provider: Provider, refusal: Refusal) -> CredentialHelperError:
    """Say what an error response means here."""
    if refusal.error in ("server_error", "temporarily_unavailable"):  # a redirect has no status to say so
        return TransportError(f"{provider.host} cannot answer now {refusal.details}")
    if refusal.error == "access_denied":
        return AuthorizationError(
            f"declined at {provider.host} {refusal.details}", error=refusal.error, hint=refusal.hint
        )
    if refusal.error in _WITHOUT_A_PERSON:
        refusal.hint = 'the provider has to ask the person: take prompt = "none" out of parameters'
    if refusal.error == "invalid_request":
        refusal.hint = "check audience, scope and parameters; the client must be one that may use PKCE (S256)"
    return refusal


# OIDC Core §3.1.2.6: of a request with prompt=none.
_WITHOUT_A_PERSON = ("interaction_required", "login_required", "account_selection_required", "consent_required")


# --- the token request (RFC 6749 §4.1.3) ------------------------------------------------------------------------------


def _exchange(provider: Provider, code: Secret, once: _Once, redirect_uri: str) -> Tokens:
    fields = [
        ("code", code.reveal()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", once.verifier.reveal()),
        *form.which_one(provider),
    ]
    tokens = token_endpoint.request(provider, GRANT_TYPE, fields, refused="refused the authorization code")
    return tokens if once.nonce is None else msgspec.structs.replace(tokens, nonce=once.nonce)
