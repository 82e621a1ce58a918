"""How a client proves who it is by its platform's word: a workload identity token as its assertion (RFC 7523 §2.2).

The assertion is not the client's own: its issuer is the platform, and its subject the job. The provider knows by a rule
which client that is (Entra ID: federated credentials; Keycloak: Signed JWT - Federated; SPIFFE and others alike).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credential_helper.flows import FLOWS

if TYPE_CHECKING:
    from credential_helper.model import Profile, Secret
    from credential_helper.oauth.provider import Provider


def is_meant(profile: Profile) -> bool:
    """Say whether "auto" means it: there is a platform's token, and it is not what the flow exchanges."""
    flow = FLOWS.get(profile.flow)
    return profile.workload is not None and not (flow is not None and "workload" in flow.subjects)


def read(provider: Provider) -> Secret:
    """Return the platform's token, for one request. Raises as ``workload.read`` does."""
    from credential_helper.oauth import workload  # few clients have one

    return workload.read(provider)


def look(provider: Provider) -> None:
    """Raise what reading the platform's token would, as far as it can be seen without a request or a command."""
    from credential_helper.oauth import workload

    workload.look(provider)


def hint(provider: Provider) -> str:
    """Return what to check when a provider refused the token (invalid_client)."""
    lead = "check client_id, and that the provider takes this token for this client"
    return f"{lead}: {provider.identity_sent}" if provider.identity_sent else lead
