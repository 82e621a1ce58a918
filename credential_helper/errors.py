"""What can go wrong, each with a sentence, a hint and an exit code (sysexits).

    CredentialHelperError            70  a defect of ours
    ├── UsageError                   64  the command line is invalid
    ├── ProtocolError                65  the request on stdin or in the environment is invalid
    ├── InteractionRequired          66  a person has to sign in, and none can be asked here
    ├── TransportError               69  no network, TLS, a 5xx answer, a deadline
    ├── StoreError                   74  the state directory, the keyring or stdout failed
    │   └── NewerFormat              74  a file there is of a later version of this program: kept, not read
    ├── LockTimeout                  75  another process holds the session for too long
    ├── RateLimited                  75  the provider asks us to come back later
    ├── Exhausted                    75  the system gives no more files, processes or memory
    ├── TokenResponseError           76  an answer that is not OAuth
    ├── AuthorizationError           77  the provider, or a check of ours, said no
    │   ├── ClockError               77  this machine's clock is wrong: the same answer may pass later
    │   └── Unproven                 77  an ID token proves nothing, and nothing in it is against the rest of its answer
    │       └── UnpublishedKey       77  the provider publishes nothing that explains a signature: it may, later
    └── ConfigurationError           78  a config file, a variable or a flag is invalid

A sentence is lower case, without a full stop, and never holds a secret. A hint is what to do or to type next.
Ctrl-C is not an error: exit 130, nothing on stdout.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class CredentialHelperError(Exception):
    """A defect of ours; every expected failure is one of the classes below."""

    exit_code = 70

    def __init__(self, sentence: str, *, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.profile: str | None = None  # the profile's name, set by whoever knows it; leads the message
        self.line = 0  # in a config file; 0: it stands in none, or nobody knows where
        self.silent = False  # True: this sentence was said to the same caller a moment ago
        self.status: int | None = None  # HTTP's, of the answer that says so; None: there is none
        self.refresh_token: Any = None  # a new one (Secret) in an answer that is no good otherwise: keep it first
        self.also: list[CredentialHelperError] = []  # what else is wrong in the same file, to be told with it


class RememberedError(CredentialHelperError):
    """A refusal of a moment ago, repeated without asking the provider again; it keeps its exit code."""

    def __init__(self, sentence: str, *, exit_code: int, hint: str | None = None) -> None:
        super().__init__(sentence, hint=hint)
        self.exit_code = exit_code


class UsageError(CredentialHelperError):
    """The command line cannot be understood."""

    exit_code = 64


class ProtocolError(CredentialHelperError):
    """The request on stdin or in the environment breaks its protocol."""

    exit_code = 65


class InteractionRequired(CredentialHelperError):
    """A person has to sign in, and none can be asked here."""

    exit_code = 66


class TransportError(CredentialHelperError):
    """No usable answer arrived: no network, TLS, a 5xx status, a deadline."""

    exit_code = 69

    def __init__(self, sentence: str, *, hint: str | None = None, stale_address: bool = False) -> None:
        super().__init__(sentence, hint=hint)
        self.stale_address = stale_address  # 404, unknown host, TLS: kept metadata may be what is wrong


class StoreError(CredentialHelperError):
    """The state directory, the keyring or stdout cannot be used."""

    exit_code = 74


class NewerFormat(StoreError):
    """A file is of a format that a later version of this program writes: it is kept, and not read."""


class LockTimeout(CredentialHelperError):
    """Another process holds the session's lock for longer than we wait."""

    exit_code = 75


class RateLimited(CredentialHelperError):
    """The provider answered 429 and asks for a longer pause than we wait.

    ``retry_after`` is in seconds from now.
    """

    exit_code = 75

    def __init__(self, sentence: str, *, retry_after: float, hint: str | None = None) -> None:
        super().__init__(sentence, hint=hint)
        self.retry_after = retry_after


class Exhausted(CredentialHelperError):
    """The operating system gives this process no more files, processes or memory."""

    exit_code = 75


class TokenResponseError(CredentialHelperError):
    """The provider's answer is not what OAuth or OpenID Connect lets it be."""

    exit_code = 76
    page = False  # True: it is an HTML page, and so not from whom it should be: a gateway, a proxy, a portal


class AuthorizationError(CredentialHelperError):
    """The provider refused, or a check of the ID token failed.

    ``error`` is the OAuth error code (RFC 6749 §5.2, RFC 8628 §3.5) where the provider sent one.
    """

    exit_code = 77

    def __init__(self, sentence: str, *, error: str | None = None, hint: str | None = None) -> None:
        super().__init__(sentence, hint=hint)
        self.error = error


class ClockError(AuthorizationError):
    """The ID token's times do not hold, and this machine's clock explains it: nothing is wrong with the token."""

    def __init__(self, sentence: str, *, hint: str | None = None) -> None:
        super().__init__(sentence, error="clock", hint=hint)


class Unproven(AuthorizationError):
    """The ID token does not prove who signed in; nothing in it says that it is another request's, client's or issuer's.

    Whoever needs none may have the access token that came with it.
    """

    def __init__(self, sentence: str, *, error: str = "unproven", hint: str | None = None) -> None:
        super().__init__(sentence, error=error, hint=hint)


class UnpublishedKey(Unproven):
    """The ID token's key or algorithm is not among what the provider publishes now: nothing else is wrong with it."""

    def __init__(self, sentence: str, *, hint: str | None = None) -> None:
        super().__init__(sentence, error="unpublished_key", hint=hint)


class ConfigurationError(CredentialHelperError):
    """A config file, a variable or a flag names something impossible."""

    exit_code = 78


def raise_all(errors: "list[CredentialHelperError]") -> None:
    """Raise the first of several mistakes, the others told with it; nothing where there are none."""
    if errors:
        first, *others = errors
        first.also = [*first.also, *others]
        raise first


@contextmanager
def of_profile(name: str) -> Iterator[None]:
    """Put a profile's name into the errors of the block that have none yet."""
    try:
        yield
    except CredentialHelperError as error:
        error.profile = error.profile or name
        raise
