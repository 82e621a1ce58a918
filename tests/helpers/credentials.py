"""Credentials and JSON values, made up or drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from credential_helper.errors import ProtocolError
from credential_helper.model import Credential, Secret

NOW = 1_900_000_000.0

CANARY = "canary-3f1c"
T = TypeVar("T")

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure

credential = Credential(
    profile="prod",
    kind="access",
    token=Secret("eyJ.abc.def"),
    token_type="Bearer",
    received_at=NOW,
    expires_at=NOW + 3600,
    fresh_until=NOW + 3540,
    scope=("openid", "email"),
)


def answer_or_refusal(ask: Callable[[], T]) -> T | None:
    """Return what a call gives, None when it refuses with a printable sentence."""
    refused: ProtocolError | None = None
    try:
        return ask()
    except ProtocolError as error:
        refused = error
    assert refused.sentence.isprintable()
    return None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

token_characters = st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)

credentials = st.builds(
    Credential,
    profile=st.just("prod"),
    kind=st.sampled_from(["access", "id"]),
    token=st.builds(Secret, token_characters | st.text(alphabet=st.characters(codec=None))),
    token_type=st.sampled_from(["Bearer", "bearer", "N_A", "a\nb", ""]),
    received_at=st.floats(0, 1e11),
    expires_at=st.none() | st.floats(),
    fresh_until=st.none() | st.floats(),
    scope=st.lists(st.text(alphabet=st.characters(codec=None))).map(tuple),
)
