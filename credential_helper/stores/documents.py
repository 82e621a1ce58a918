"""Public documents of providers (metadata, keys) on disk: a convenience, so a failure here is never an error."""

from __future__ import annotations

from credential_helper.errors import StoreError
from credential_helper.stores.private_files import State


class DiskDocuments:
    """One file per document under ``metadata/``."""

    def __init__(self, state: State) -> None:
        self._state = state

    def read(self, name: str) -> bytes | None:
        """Return a document as it was written, None where there is none or it cannot be trusted."""
        try:
            found = self._state.read(f"metadata/{name}")
        except StoreError:
            return None
        return None if found is None else found[0]

    def write(self, name: str, document: bytes) -> None:
        """Keep a document, or don't."""
        try:
            self._state.write(f"metadata/{name}", document)
        except StoreError:
            return
