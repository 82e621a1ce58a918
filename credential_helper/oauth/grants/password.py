"""Signing in with a password that this program is told (RFC 6749 §4.3), for what has no other way.

- RFC 9700 §2.4 says that this grant must not be used, and OAuth 2.1 has left it out: a profile has to say ``legacy``,
  and a person is warned each time.
- The password goes into one request and is forgotten then (§4.3.2). Nothing is sent twice by itself: providers lock an
  account after a few wrong ones. One exception: where the answer says in so many words that it is the client that was
  refused (invalid_client), nobody has looked at the password, and it goes along with the other method.
- With ``realm`` it is Auth0's variant of the grant, which names the connection that knows the account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper.errors import AuthorizationError, ConfigurationError, CredentialHelperError, InteractionRequired
from credential_helper.model import Secret
from credential_helper.oauth.endpoints import form, token_endpoint
from credential_helper.oauth.endpoints.reply import Refusal
from credential_helper.oauth.grants import prompts
from credential_helper.providers import PASSWORD_REALM
from credential_helper.text import foreign

if TYPE_CHECKING:
    from credential_helper.model import Tokens
    from credential_helper.oauth.interaction import Interaction
    from credential_helper.oauth.provider import Provider

PATIENCE = 5 * 60.0  # seconds that a person has to type name and password

_BETTER = 'flow = "authorization-code" signs in with a browser, flow = "device" with a code; neither sees the password'
_WARNING = (
    'flow = "password" hands the password of the account to this program and fails where a second factor is asked for: '
    "RFC 9700 forbids it, and OAuth 2.1 has left it out"
)


def sign_in(provider: Provider, interaction: Interaction) -> None:
    """Send name and password, typed or from the profile's source; the tokens go to ``interaction.redeem``.

    Raises ConfigurationError where the profile does not say ``legacy``, AuthorizationError (``error`` is
    "invalid_grant" for a wrong name or password, "mfa_required" for an account with a second factor),
    InteractionRequired where nothing is typed, RateLimited, TransportError, TokenResponseError, and what the
    interaction raises.
    """
    if not provider.profile.legacy:
        raise ConfigurationError('flow = "password" needs legacy = true', hint=f"{_BETTER}; else write legacy = true")
    provider.metadata(fresh=True)  # before anybody types a password for nothing
    exchange = _Exchange(provider, *_credentials(provider, interaction))
    try:
        return interaction.redeem(exchange)
    except CredentialHelperError as error:
        failed = error if exchange.succeeded else _explained(provider, error)
    # The frames below, and what was raised there first, hold the request: an exception must not keep them.
    failed.__cause__ = failed.__context__ = None
    raise failed.with_traceback(None)


def _credentials(provider: Provider, interaction: Interaction) -> tuple[str, Secret]:
    """Return user name and password: typed by a person, or as the profile says."""
    account = provider.profile.account
    if provider.password is not None:
        interaction.warn(_WARNING, hint=_BETTER)
        if not account:
            raise ConfigurationError("the profile has a password and no account", hint='write account = "USER NAME"')
        password = provider.password()
        if not password:
            raise ConfigurationError("the password is empty: nothing was sent")
        return account, password
    interaction.ask(
        prompts.made_now(
            provider,
            tool=interaction.tool,
            target=interaction.target,
            lifetime=PATIENCE,
            interval=PATIENCE,
            flow="password",
        )
    )
    interaction.warn(_WARNING, hint=_BETTER)  # the terminal is ours now: no other prompt is torn in two
    name = account or interaction.type("user name:", hidden=False).reveal().strip()
    if not name:
        raise InteractionRequired("no user name was typed: nothing was sent")
    password = interaction.type(f"password for {foreign(name, 100)} at {provider.host}:", hidden=True)
    if not password:
        raise InteractionRequired("no password was typed: nothing was sent")
    return name, password


class _Exchange:
    """The one request with the password in it (RFC 6749 §4.3.2)."""

    def __init__(self, provider: Provider, name: str, password: Secret) -> None:
        self._provider = provider
        self._name = name
        self._password = password
        self.succeeded = False  # what fails after that is not about the password

    def __call__(self) -> Tokens:
        realm = self._provider.profile.realm or ""
        password, self._password = self._password, Secret("")
        fields = [
            ("username", self._name),
            ("password", password.reveal()),
            ("realm", realm),
            *form.what_for(self._provider),
        ]
        tokens = token_endpoint.request(
            self._provider,
            PASSWORD_REALM if realm else "password",
            fields,
            refused="refused the user name or the password",
            busy=(),
        )
        self.succeeded = True
        return tokens


# --- what a refusal means ---------------------------------------------------------------------------------------------

_SECOND_FACTOR = frozenset({"mfa_required", "mfa_registration_required", "interaction_required"})  # Auth0, Okta; Entra


def _explained(provider: Provider, error: CredentialHelperError) -> CredentialHelperError:
    """Return what to say of an error: itself, where it says what it means."""
    if isinstance(error, Refusal) and error.error in _SECOND_FACTOR:
        return AuthorizationError(
            f"this account has a second factor, which the password flow cannot ask for: {provider.host} refused it "
            f"{error.details}",
            error="mfa_required",
            hint=_BETTER,
        )
    # Auth0's server_error, where no realm is sent and the tenant has no default directory.
    if "default connection" in error.sentence:
        return ConfigurationError(
            f"{provider.host} needs to know which connection has the account ({error.sentence})",
            hint='write realm = "NAME", the connection\'s (Auth0: often Username-Password-Authentication)',
        )
    return error
