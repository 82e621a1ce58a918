"""What a machine proves itself with, as it was read: the stamps of files and the values of variables, never on disk.

A cached answer of a machine belongs to its proof: a job with a wrong secret, or another job's, must not get a token
that it could not have fetched. For a person nothing here is asked.
"""

from __future__ import annotations

import msgspec

from credential_helper.model import Profile, Secret, Source


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Where secrets were read, and how to see without reading them again that they are the same."""

    files: tuple[tuple[str, str], ...] = ()  # (absolute path, stamp by fstat of the descriptor that was read)
    variables: tuple[tuple[str, Secret | None], ...] = ()  # (name, the whole value as it was read; None: not set)
    replayable: bool = True  # False: a command, which says only when it runs whether its secret is the same

    def __add__(self, other: Proof) -> Proof:
        """Return both as one. What was read twice and had changed in between holds for neither, so never again."""
        return Proof(
            files=tuple(dict.fromkeys(self.files + other.files)),
            variables=tuple(dict.fromkeys(self.variables + other.variables)),
            replayable=self.replayable and other.replayable,
        )


UNKNOWN = Proof(replayable=False)


def sources(profile: Profile) -> tuple[Source, ...]:
    """Return the sources of all that a machine proves itself with; empty for a person's profile."""
    if profile.session_kind != "client":
        return ()
    key = profile.private_key
    given = (profile.client_secret, None if key is None else key.source, *(profile.tls or ()))
    return tuple(source for source in given if source is not None)
