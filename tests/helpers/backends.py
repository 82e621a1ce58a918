"""Backends of the keyring package, good and bad."""

from __future__ import annotations

import logging
import warnings

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class Memory(KeyringBackend):
    """An honest keyring."""

    priority = 1
    records: dict[tuple[str, str], str] = {}  # noqa: RUF012 - shared, as a keyring is

    @classmethod
    def _register(cls) -> None:
        """Stay out of keyring's own list, where another test of this process would find it."""

    def get_password(self, service: str, username: str) -> str | None:
        return self.records.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.records[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.records.pop((service, username), None) is None:
            raise PasswordDeleteError("not found")


class Noisy(Memory):
    def get_password(self, service: str, username: str) -> str | None:
        logging.getLogger("keyring").warning("noise")
        logging.getLogger("some.plugin").error("more noise")
        warnings.warn("still more noise", DeprecationWarning, stacklevel=1)
        warnings.warn("and noise again", UserWarning, stacklevel=1)
        return super().get_password(service, username)
