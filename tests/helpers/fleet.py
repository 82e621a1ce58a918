"""A fleet's cache in memory, by a clock of its own; and machines that share it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from credential_helper.model import SharedCache
from credential_helper.stores.fleet import LOCK, Unavailable
from credential_helper.stores.fleet_scripts import Kept, Seen
from credential_helper.stores.fleet_values import Names
from tests.helpers.clock import FakeClock


class Place(msgspec.Struct):
    """What stands there of one token."""

    token: Kept | None = None
    forget_at: int = 0
    owner: str | None = None
    locked_until: float = 0.0
    generation: int = 0
    note: Kept | None = None
    told: list[bytes] = []


class MemoryFleet:
    """Does what the scripts do; ``while_waiting`` is what other machines do while one listens."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.places: dict[str, Place] = {}
        self.asked: list[str] = []
        self.broken: str | None = None  # why each step fails
        self.while_waiting: Callable[[], None] = lambda: None
        self.opened = 0
        self.made: type[MemoryServer] = MemoryServer

    def server(self, where: SharedCache) -> MemoryServer:
        assert where.host
        self.opened += 1
        return self.made(self)

    @property
    def only(self) -> Place:
        """Return the one place that there is."""
        (place,) = self.places.values()
        return place

    def flush(self) -> None:
        self.places.clear()


class MemoryServer:
    """As ``stores.fleet.Server``."""

    def __init__(self, fleet: MemoryFleet) -> None:
        self._fleet = fleet

    def _place(self, step: str, names: Names) -> Place:
        self._fleet.asked.append(step)
        if self._fleet.broken is not None:
            raise Unavailable(self._fleet.broken)
        place = self._fleet.places.setdefault(names.token, Place())
        now = self._now()
        if place.token is not None and now >= place.forget_at:
            place.token = None
        if place.note is not None and now >= place.note.expires_at:
            place.note = None
        if place.owner is not None and self._fleet.clock.ticks >= place.locked_until:
            place.owner = None
        return place

    def _now(self) -> int:
        return int(self._fleet.clock.time)

    def _seen(self, place: Place, mine: int = 0) -> Seen:
        return Seen(self._now(), place.token, place.note, place.owner is not None, mine)

    def look(self, names: Names) -> Seen:
        return self._seen(self._place("look", names))

    def enter(self, names: Names, owner: str) -> Seen:
        place = self._place("enter", names)
        if place.owner is not None:
            return self._seen(place)
        place.owner, place.locked_until = owner, self._fleet.clock.ticks + LOCK
        place.generation = max(place.generation, place.token.generation if place.token else 0) + 1
        return self._seen(place, place.generation)

    def store(self, names: Names, owner: str, kept: Kept, forget_at: int) -> bool:
        place = self._place("store", names)
        newer = place.token is None or place.token.generation < kept.generation
        if newer:
            place.token, place.forget_at, place.note = kept, forget_at, None
        if place.owner == owner:
            place.owner = None
        place.told.append(b"stored")
        return newer

    def leave(self, names: Names, owner: str, message: bytes, note: Kept | None = None) -> None:
        place = self._place("leave", names)
        place.note = note or place.note
        if place.owner == owner:
            place.owner = None
            place.told.append(message)

    def drop(self, names: Names, generation: int) -> bool:
        place = self._place("drop", names)
        if place.token is None or place.token.generation != generation:
            return False
        place.token = None
        return True

    def listen(self, names: Names) -> MemoryListener:
        return MemoryListener(self._fleet, self._place("listen", names))

    def renew_patience(self) -> None:
        pass

    def close(self) -> None:
        pass


class MemoryListener:
    def __init__(self, fleet: MemoryFleet, place: Place) -> None:
        self._fleet = fleet
        self._place = place
        self._heard = len(place.told)

    def wait(self, seconds: float) -> bytes | None:
        self._fleet.while_waiting()
        told = self._place.told[self._heard :]
        if told:
            self._heard += 1
            return told[0]
        self._fleet.clock.advance(seconds)
        return None

    def close(self) -> None:
        pass
