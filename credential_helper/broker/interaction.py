"""What a grant may ask of the broker while it signs in: show a prompt, wait, redeem (oauth.interaction).

The prompt is kept in the grant's ``ID.prompt`` while a person is waited for: other processes show the same one, and
whoever gets the lock of a dead holder goes on with its code. A browser's address and a password's prompt end with their
process. Removing that file, as logout does, cancels the sign-in.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from credential_helper.broker.cached_session import CachedSession
from credential_helper.broker.errand import Errand, Means
from credential_helper.broker.freshness import SKEW
from credential_helper.errors import AuthorizationError, CredentialHelperError, InteractionRequired, StoreError
from credential_helper.model import Prompt, Secret, Tokens
from credential_helper.stores.grant_notes import Window
from credential_helper.stores.replacing import Reservation
from credential_helper.stores.sessions import Sessions
from credential_helper.system.caller import Abandoned

OTHERS_PROMPT = 5.0  # seconds that a process which may not ask waits for a person in another terminal
_ON_THE_WAY = 0.5  # seconds that a request may take longer to arrive than the one before
# Seconds until a browser may open by itself once more: after one that nobody answered; and after one whose process was
# ended before anybody could, which doubles and more, because an editor asks all day.
WINDOW_AGAIN = 12 * 3600.0
_WINDOW_SOON, _WINDOW_GROWTH = 300.0, 6.0
_SLICE = 0.5  # seconds between two looks at whether the sign-in is still wanted


def under_way(profile: str) -> InteractionRequired:
    """Say that a person is being asked elsewhere."""
    return InteractionRequired(
        f"a sign-in to {profile} is under way in another terminal", hint="finish it there, then try again"
    )


def current_prompt(sessions: Sessions, grant_id: str, now: float) -> Prompt | None:
    """Return what a person is being asked; one that is expired or from the future means nothing."""
    prompt = sessions.notes.prompt(grant_id)
    if prompt is None or prompt.expires_at <= now or prompt.made_at > now + SKEW:
        return None
    return prompt


def someone_is_asked(means: Means, grant_id: str) -> bool:
    """Say whether a holder of the lock that died was asking a person: the code may have been approved since."""
    prompt = current_prompt(means.sessions, grant_id, means.clock.now())
    return prompt is not None and prompt.outlives_its_process


def window_for_nothing(means: Means, session: CachedSession) -> float | None:
    """Return how many seconds ago a browser opened by itself for nothing, where none may do so again yet; else None."""
    if not means.person.by_window or not session.disk:
        return None
    try:
        window = means.sessions.notes.window(session.place.grant)
    except StoreError:
        return None
    now = means.clock.now()
    if window is None or not window.opened <= now < window.until <= window.opened + WINDOW_AGAIN:
        return None
    return now - window.opened


def drop_dead_prompt(session: CachedSession, means: Means, *, signed_in: bool = False) -> None:
    """Remove what asks nobody any more: the lock is ours, and a browser's prompt ended with its process.

    ``signed_in``: a code, too, has been redeemed, or is not needed; others would show it whenever they wait for us.
    """
    if not session.disk:
        return
    try:
        prompt = means.sessions.notes.prompt(session.place.grant)
        if prompt is not None and (signed_in or not prompt.outlives_its_process):
            means.sessions.notes.clear_prompt(session.place.grant)
    except StoreError as error:
        means.note(error.sentence)


class SignIn:
    """One sign-in, by the holder of the grant's lock."""

    def __init__(
        self,
        errand: Errand,
        session: CachedSession,
        means: Means,
        *,
        may_ask: bool,
        keep: Callable[[Tokens, Reservation | None], None],
        give_back: Callable[[Secret | None], None],
    ) -> None:
        """``keep`` saves what a grant brought, ``give_back`` revokes a refresh token that is not kept."""
        request, profile = errand.request, errand.profile
        self.tool = request.tool
        self.target = request.target or profile.audience or ", ".join(profile.resource) or None
        self.because = ""
        self.asked = False
        self._profile = profile.name
        self._login = errand.login
        self._id = session.place.grant
        self._sessions = means.sessions if session.disk else None
        self._person = means.person
        self._may_ask = may_ask
        self._resume = errand.mode == "any"
        self._caller = means.caller
        self._interrupts = means.interrupts
        self._clock = means.clock
        self._note = means.note
        self._keep = keep
        self._give_back = give_back
        self._announced = False  # ID.prompt is ours and stands: where it is missing, somebody cancelled
        self._shown_on: tuple[str, ...] = ()
        self._began = means.clock.monotonic()
        self._taken_over: Prompt | None = None
        self._asking: Prompt | None = None
        self._ends: list[Callable[[bool], None]] = []

    def browser(self) -> tuple[bool, str]:
        """Say whether a browser can be opened here, and what tells so: "there is a display"."""
        return self._person.browser()

    def can_paste(self) -> bool:
        """Say whether a person can paste the last address of a browser that is on another machine."""
        return self._may_ask and self._person.can_paste()

    def pasted(self) -> Secret | None:
        """Return a line that was pasted below a browser's prompt since the last call; None: none was."""
        return self._person.pasted() if self._may_ask else None

    def tell(self, sentence: str) -> None:
        """Say what is going on, where a person is asked here."""
        if self._may_ask:
            self._person.tell(sentence)

    def warn(self, sentence: str, *, hint: str | None = None) -> None:
        """Say what should not be so, and what to do about it."""
        self._person.warn(sentence, hint=hint)

    def waiting(self) -> Prompt | None:
        """Return the prompt that a dead holder of the lock left, if it can be gone on with."""
        if self._taken_over is not None or self._sessions is None or not self._resume:
            return self._taken_over
        if self._person.by_window:  # a code cannot be shown there
            return None
        try:
            prompt = current_prompt(self._sessions, self._id, self._clock.now())
        except StoreError:
            return None
        if prompt is None or not prompt.outlives_its_process:
            return None
        self._note("going on with the code of a process that ended")
        self._announced = True
        self._shown_on = prompt.shown_on
        self._show(prompt)
        self._taken_over = prompt
        return prompt

    def ask(self, prompt: Prompt) -> None:
        """Tell other processes what is asked, and show it to the person; a password's prompt waits for its turn."""
        if not self._may_ask:
            raise under_way(self._profile)  # the code that was waited for elsewhere is spent
        self._asking = prompt
        self._write(prompt)
        if self._person.by_window:
            self._note_window(answered=False)
        self._show(prompt)
        while prompt.flow == "password" and not self.asked:  # what is typed now is for the prompt that has the terminal
            self._clock.sleep(_SLICE)
            self._go_on_typing()
            self._show(prompt)

    def type(self, label: str, *, hidden: bool) -> Secret:
        """Read one line from the person's terminal."""
        if not self._may_ask:
            raise under_way(self._profile)

        return self._person.type(label, hidden=hidden, go_on=self._go_on_typing)

    def _go_on_typing(self) -> None:
        self._still_wanted()
        if self._asking is not None and self._clock.now() >= self._asking.expires_at:
            raise AuthorizationError("nobody typed anything", error="expired_token")

    def pause(self, prompt: Prompt, until: Callable[[float], bool] | None = None) -> None:
        """Wait for the next poll, or until ``until`` says that it has happened; it is given the seconds to wait.

        Raises where the sign-in was cancelled or nobody waits for it any more.
        """
        self._still_wanted()  # before the prompt is written: a logout's removal must not be undone
        self._write(prompt)
        remaining = min(max(0.0, prompt.next_poll - self._clock.now()), max(prompt.interval, 0.0))
        end = self._clock.monotonic() + remaining
        while True:
            self._still_wanted()
            left = end - self._clock.monotonic()
            if left <= 0:
                # For whoever takes over if we die during this poll: the provider will have counted it.
                self._write(_after_a_poll(prompt, self._clock.now()))
                return
            if self._may_ask:
                self._show(prompt)  # if it could not be shown so far: another prompt had the terminal
                self._person.waiting(prompt)
            elif self._clock.monotonic() - self._began > OTHERS_PROMPT:
                raise under_way(self._profile)
            if until is None:
                self._clock.sleep(min(left, _SLICE))
            elif until(min(left, _SLICE)):
                return

    def redeem(self, exchange: Callable[[], Tokens]) -> None:
        """Run a token request with signals held, and save what it brings before they are obeyed."""
        reservation = self._reserve()
        try:
            with self._interrupts.held():
                try:
                    tokens = exchange()
                except CredentialHelperError as error:
                    self._give_back(error.refresh_token)
                    raise
                if self._cancelled():
                    self._give_back(tokens.refresh_token)
                    raise _cancelled()
                self._keep(tokens, reservation)
        finally:
            if reservation is not None:
                reservation.discard()

    @property
    def browsed(self) -> bool:
        """Say whether a browser was sent somewhere, or a person was told to send one."""
        return self.asked and self._asking is not None and self._asking.flow == "browser"

    def at_end(self, tell: Callable[[bool], None]) -> None:
        """Have ``tell`` called when the sign-in is over: True when its tokens were verified, too."""
        self._ends.append(tell)

    def close(self, *, finished: bool, verified: bool) -> None:
        """Say that nobody is asked any more; a code that only another process may ask about stays for the next one."""
        while self._ends:
            self._ends.pop()(verified)
        if finished:
            self._forget_window()
        if self._sessions is not None and self._announced and (finished or self._may_ask):
            try:
                self._sessions.notes.clear_prompt(self._id)
            except StoreError as error:
                self._note(error.sentence)

    def _still_wanted(self, *, caller: bool = True) -> None:
        if caller and not self._caller.waits():
            raise Abandoned
        if self._cancelled():
            raise _cancelled()

    def _cancelled(self) -> bool:
        return self._announced and self._sessions is not None and self._sessions.notes.prompt(self._id) is None

    def _show(self, prompt: Prompt) -> None:
        """Show the prompt unless it stands already; it may have to be tried again."""
        if self.asked or not self._may_ask:
            return
        try:
            terminal = self._person.show(self._with_ours(prompt), ours=True)
        except InteractionRequired as error:
            error.hint = error.hint or self._login
            raise
        if terminal is None:
            return
        self.asked = True
        if terminal not in self._shown_on:
            self._shown_on = (*self._shown_on, terminal)
            self._still_wanted(caller=False)
            self._write(prompt)

    def _with_ours(self, prompt: Prompt) -> Prompt:
        """Add what the grant does not know: where the prompt stands, and why this flow."""
        return msgspec.structs.replace(prompt, shown_on=self._shown_on, because=prompt.because or self.because)

    def _write(self, prompt: Prompt) -> None:
        if self._sessions is None:
            return
        try:
            with self._interrupts.held():  # a signal in the middle would leave half of the file's writing behind
                self._sessions.notes.keep_prompt(self._id, self._with_ours(prompt))
                self._announced = True
        except StoreError as error:
            self._announced = False
            self._note(f"other processes cannot see the prompt: {error.sentence}")

    def shut_window(self) -> None:
        """Note that nobody wants to sign in: it was refused, or nobody came."""
        if self._person.by_window and self.asked:
            self._note_window(answered=True)

    def _note_window(self, *, answered: bool) -> None:
        if self._sessions is None:
            return
        now, notes = self._clock.now(), self._sessions.notes
        try:
            before = notes.window(self._id)
            times = (before.times if before is not None else 0) + (0 if answered else 1)
            wait = WINDOW_AGAIN if answered else min(_WINDOW_SOON * _WINDOW_GROWTH ** (times - 1), WINDOW_AGAIN)
            opened = before.opened if answered and before is not None else now
            until = min(now + wait, opened + WINDOW_AGAIN)
            notes.keep_window(self._id, Window(opened=opened, times=min(times, 9), until=until))
        except StoreError as error:
            self._note(error.sentence)

    def _forget_window(self) -> None:
        if self._sessions is None:
            return
        try:
            self._sessions.notes.clear_window(self._id)
        except StoreError as error:
            self._note(error.sentence)

    def _reserve(self) -> Reservation | None:
        if self._sessions is None:
            return None
        try:
            return self._sessions.grants.reserve(self._id)
        except StoreError:
            return None


def _after_a_poll(prompt: Prompt, now: float) -> Prompt:
    """Return the prompt as it is when a poll that begins now has been made, and a little later for its way there."""
    return msgspec.structs.replace(prompt, next_poll=min(now + prompt.interval + _ON_THE_WAY, prompt.expires_at))


def _cancelled() -> AuthorizationError:
    return AuthorizationError("the sign-in was cancelled by a logout", error="cancelled")
