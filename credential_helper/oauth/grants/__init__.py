"""The ways to sign in, and what one may ask of whoever runs it.

A grant is one module with ``sign_in(provider, interaction)`` and one row in ``flows.FLOWS``. ``flow = "auto"`` is the
browser flow where a person has a browser and the provider an authorization endpoint, else the device flow; the prompt
says which, and why. Of a provider without the device flow it is the browser flow, too, where the last address of a
browser elsewhere can be pasted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper.errors import ConfigurationError, InteractionRequired
from credential_helper.flows import FLOWS, PEOPLE
from credential_helper.oauth.client_authentication import SECRET_SOURCES
from credential_helper.oauth.interaction import Interaction

if TYPE_CHECKING:
    from credential_helper.oauth.provider import Provider


def sign_in(provider: Provider, interaction: Interaction) -> None:
    """Run the profile's flow; its tokens go to ``interaction.redeem``.

    Raises ConfigurationError where ``auto`` finds no way, and whatever the flow raises.
    """
    flow = provider.profile.flow
    if flow != "auto":
        return _run(flow, provider, interaction)
    problem = _why_no_browser_flow(provider, interaction)
    elsewhere = problem is not None and not _offers_codes(provider) and _offers_a_browser(provider)
    if elsewhere and not interaction.can_paste():
        raise InteractionRequired(
            f"{provider.host} signs a person in with a browser only, and here none can be used: {problem}",
            hint="sign in on a terminal of this machine: there you can paste the last address of a browser elsewhere",
        )
    if problem is None or elsewhere:
        from credential_helper.oauth.grants.loopback import PortTaken

        interaction.because = problem or interaction.browser()[1]
        try:
            return _run("authorization-code", provider, interaction)
        except PortTaken as error:
            if not _offers_codes(provider):
                raise
            problem = error.sentence
    interaction.because = problem
    return _run("device", provider, interaction)


def _why_no_browser_flow(provider: Provider, interaction: Interaction) -> str | None:
    """Return what keeps ``auto`` from the browser flow; None: nothing does."""
    if interaction.waiting() is not None:
        return "a sign-in with this code is under way"
    possible, why = interaction.browser()
    if not possible:
        return why
    if not _offers_a_browser(provider):
        return f"{provider.host} has no authorization endpoint"
    if provider.metadata().require_signed_request_object:
        return f"{provider.host} takes only signed requests from a browser"
    if _lacks_secret(provider, "authorization-code"):
        return f"{provider.known.title} wants a client_secret in a browser"
    return None


def _lacks_secret(provider: Provider, flow: str) -> bool:
    return flow in provider.known.needs_secret and provider.client_secret is None and provider.private_key is None


def _offers_a_browser(provider: Provider) -> bool:
    return "authorization-code" in provider.known.flows and bool(provider.metadata(fresh=True).authorization_endpoint)


def _offers_codes(provider: Provider) -> bool:
    return "device" in provider.known.flows and bool(provider.metadata(fresh=True).device_authorization_endpoint)


def _run(flow: str, provider: Provider, interaction: Interaction) -> None:
    if _lacks_secret(provider, flow):  # said before a person signs in for nothing
        less = sorted(PEOPLE - provider.known.needs_secret)
        others = "".join(f'; flow = "{other}" needs none' for other in less)
        raise ConfigurationError(
            f'{provider.known.title} wants a client_secret for flow = "{flow}"', hint=f"{SECRET_SOURCES}{others}"
        )
    from importlib import import_module  # each flow is loaded only where it is used

    provider.note(f"signing in with the flow {flow}" + (f": {interaction.because}" if interaction.because else ""))
    import_module(f"credential_helper.oauth.grants.{FLOWS[flow].module}").sign_in(provider, interaction)
