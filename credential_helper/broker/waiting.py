"""Waiting for the grant's lock, and what a process does while another one holds it.

A process that may ask a person shows the same prompt, once; one that may not waits a little for it, and no longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Errand, Means, Obtained
from credential_helper.broker.interaction import OTHERS_PROMPT, current_prompt, under_way
from credential_helper.broker.refusals import Refusals
from credential_helper.errors import InteractionRequired, LockTimeout, NewerFormat, StoreError
from credential_helper.model import Prompt
from credential_helper.stores import lock
from credential_helper.system.caller import Abandoned


@contextmanager
def for_our_turn(errand: Errand, session: CachedSession, means: Means) -> Iterator[Obtained | None]:
    """Wait for the grant's lock, and hold it; without a disk there is none.

    Yields what another process has brought in the meantime, or what has to do because the lock cannot be had; None: it
    is our turn. Raises LockTimeout, InteractionRequired and Abandoned.
    """
    with ExitStack() as stack:
        yield _brought(errand, session, means, stack) if session.disk else None


def _brought(errand: Errand, session: CachedSession, means: Means, stack: ExitStack) -> Obtained | None:
    waiting = _Waiting(errand, session, means)
    started = means.clock.monotonic()
    sessions = means.sessions
    try:
        name = sessions.grants.lock_name(session.place.grant)
        stack.enter_context(lock.held(sessions.state, name, clock=means.clock, waiting=waiting.go_on))
        found = waiting.found
        if found is None:
            sessions.grants.take_up(session.place.grant)
    except NewerFormat:
        raise
    except StoreError as error:
        session.lose_disk(error)
        found = session.better_than_none(error) if session.still_valid() else None
    except (LockTimeout, InteractionRequired) as error:
        return session.better_than_none(error)
    if found is not None and waiting.showed:
        from credential_helper.broker import announce

        announce.signed_in(errand, means, found, took=means.clock.monotonic() - started)
    return found


class _Waiting:
    """What is done between two tries."""

    def __init__(self, errand: Errand, session: CachedSession, means: Means) -> None:
        self.found: Obtained | None = None  # what the other process brought
        self.showed = False  # the prompt of the other process, on our terminal
        self._errand = errand
        self._session = session
        self._means = means
        self._refusals = Refusals(errand, session, means)
        self._longest = min(lock.DEADLINE, means.deadline or lock.DEADLINE)  # seconds
        self._alone_since = 0.0
        self._asked_since: float | None = None
        self._name: str | None = None  # of the prompt that was dealt with

    def go_on(self, waited: float) -> bool:
        """Called between two tries; ``waited`` is in seconds. False: the other process brought what we need."""
        if self._errand.mode == "ahead":
            raise LockTimeout("another process renews the session")
        if not self._means.caller.waits():
            raise Abandoned
        if self._session.changed():
            self.found = self._session.fresh(again=True)
            if self.found is not None or not self._session.disk:
                return False
        prompt = current_prompt(self._means.sessions, self._session.place.grant, self._means.clock.now())
        if prompt is not None:
            self._alone_since = waited
            self._with_person(prompt, waited)
        elif waited - self._alone_since > self._longest:
            raise LockTimeout(
                f"another process has held the session for {self._longest:.0f} s",
                hint="try again, or look for a hanging credential-helper process",
            )
        return True

    def _with_person(self, prompt: Prompt, waited: float) -> None:
        errand, person = self._errand, self._means.person
        asks = errand.mode != "renew" and person.can_answer(errand.profile, errand.request)
        if asks and (prompt.flow == "browser" or not person.by_window):
            if prompt.name != self._name:
                terminal = person.show(prompt, ours=False)
                self._name = prompt.name if terminal is not None else None
                self.showed = self.showed or (terminal is not None and terminal not in prompt.shown_on)
            return
        repeats = errand.request.manners.repeats and self._refusals.heard()  # of several tries the first one waits
        if self._asked_since is None:
            self._asked_since = waited
        if repeats or waited - self._asked_since > OTHERS_PROMPT:
            error = under_way(errand.profile.name)
            error.silent = repeats
            if not repeats:
                self._refusals.note_heard()
            raise error
