"""What git asks for: a token for a host that a profile lists, silence for any other, or what git gave us to keep.

1. A host that a profile lists gets that profile's token. ``store`` keeps nothing there; ``erase`` drops the access
   token that a server rejected, if it is still the one, and never the refresh token: the next command works.
2. A git that can be asked to come again (2.46) is, unless the token is so young that another one would not fare
   better; when it comes with our ``state[]``, the broker renews under the lock, or has another token already.
3. Any other host is "not mine": nothing on stdout, exit 0. Where ``password_storage`` says so we are its storage
   helper, too, as git-credential-store is; ``auto`` is off, because git's ``store`` brings every password of every host
   to every helper.
4. *Mine, but it cannot be served now* is ``quit=1``: neither another helper nor a person has a token of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from credential_helper import errors, replies, urls
from credential_helper.answers import calling_git, plain
from credential_helper.answers.call import Call
from credential_helper.app import App, write
from credential_helper.broker import freshness
from credential_helper.broker.errand import Obtained
from credential_helper.errors import CredentialHelperError, LockTimeout, StoreError, UsageError
from credential_helper.model import Listed
from credential_helper.profiles.chosen import Chosen
from credential_helper.profiles.settings import Given
from credential_helper.tools import TOOLS, Tool, git, wire

if TYPE_CHECKING:
    from credential_helper.stores.passwords import Passwords  # a host of ours has none


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to stdout, and until when an identical request may be answered with it."""

    stdout: bytes = b""
    code: int = 0
    obtained: Obtained | None = None
    chosen: Chosen | None = None
    until: float = 0.0  # seconds since the epoch
    renew: float = 0.0  # from when on whoever repeats it renews it ahead
    stands_on: tuple[tuple[str, str], ...] | None = None  # of a silence that may be repeated: files, with their stamps


SILENCE = Reply()
SILENCE_AGAIN = Reply(stands_on=())  # whatever secrets git brings next time


def answer(call: Call, row: Tool, given: Given) -> int:
    """Answer ``git-credential-helper [OPTION …] OPERATION``; an operation that we do not know is ignored, as git asks.

    Raises UsageError where there is no operation.
    """
    operation = given.pop("operation", None) if row.arguments else row.name  # ``store`` and ``erase`` name themselves
    if operation is None:
        raise UsageError(
            "no operation: git says get, store or erase",
            hint="git config --global --replace-all credential.https://HOST.helper helper",
        )
    if operation == "capability":
        write(TOOLS["git"].fixed[operation])
        return 0
    if operation not in OPERATIONS:
        call.app.note("an operation that is not known is ignored, as git asks")
        return 0
    return answer_lines(call, given, str(operation))


def answer_lines(call: Call, given: Given, operation: str = "get") -> int:
    """Answer git's lines on stdin: for ``get``, ``store`` and ``erase``."""
    app = call.app
    try:
        data = call.read(git.LIMIT, lines=True)  # a request that is cut short could name another host
        reply = OPERATIONS[operation](app, given, git.read(data))
    except CredentialHelperError as error:
        app.terminal.error(error)
        stdout, code = git.decline(error) if operation == "get" else (b"", error.exit_code)
        write(stdout)
        return code
    write(reply.stdout)
    if reply.stands_on is not None:
        tool_input = replies.without_secrets(data) if operation == "store" else data
        plain.keep_silence(call, TOOLS["git"], tool_input, given, files=reply.stands_on)
    _keep(call, data, reply)
    return reply.code


# --- get ---


def get(app: App, given: Mapping[str, object], message: git.Message) -> Reply:
    """Return a profile's token, a stored password, or silence. Any error but UsageError may come: it is ours."""
    found = _choose(app, given, message)
    if found is None:
        app.tell_troubles(TOOLS["git"], given)
        return _get_stored(app, given, message)
    chosen, entry = found
    with errors.of_profile(chosen.profile.name):
        form = git.form(message, entry.scheme, lambda: calling_git.version(app, app.hidden | chosen.hidden))
        obtained = app.obtain(chosen, git.request(message))
        credential = obtained.credential
        state = _state(message, obtained, app.clock.now())
        name = "" if form == "bearer" else wire.username(entry.username, credential.identity)
        stdout = git.render(plain.shown(app, credential), form=form, username=name, state=state)
    until = plain.fresh_until(obtained)
    if message.understands("state") and state is None:
        until = min(until, _settled_at(obtained))  # from then on the answer is another one
    renew = plain.renewed_from(app, chosen, git.request(message), obtained)
    return Reply(stdout=stdout, obtained=obtained, chosen=chosen, until=until, renew=renew)


def _choose(app: App, given: Mapping[str, object], message: git.Message) -> tuple[Chosen, Listed] | None:
    if not message.named:
        return None
    return app.owners(given).choose(TOOLS["git"], url_of(message), git.request(message))


def url_of(message: git.Message) -> urls.Url | None:
    """Return what git asks for as one address; None: that is no http or https one."""
    origin = urls.parse_host(message.protocol, message.host)
    return None if origin is None else msgspec.structs.replace(origin, path=message.path or "")


def _passwords(app: App, given: Mapping[str, object], message: git.Message) -> Passwords | None:
    """Return the store for a host that no profile lists; None: nothing is kept for this one."""
    from credential_helper.answers.stored_passwords import git_passwords

    return git_passwords(app, given, url_of(message)) if message.named else None


def _state(message: git.Message, obtained: Obtained, now: float) -> str | None:
    """Name the token that is answered, where git can come again with it and another one may then be had.

    It comes once: what it brought is not asked about again.
    """
    if not message.understands("state") or message.refused is not None:
        return None
    token = freshness.token_of(obtained.session, obtained.credential.kind)
    if token is None or freshness.just_made(obtained.session, token, now):
        return None
    return token.sha256()[:16]


def _settled_at(obtained: Obtained) -> float:
    """Return the time after which a rejection of this token triggers a renewal (seconds since the epoch)."""
    return max(obtained.session.forced_at or 0.0, obtained.credential.received_at) + freshness.FORCED_PAUSE


def _keep(call: Call, data: bytes, reply: Reply) -> None:
    """Keep a profile's answer for an identical request."""
    if reply.obtained is not None and reply.chosen is not None and reply.until > 0:
        until, renew = reply.until, reply.renew
        plain.keep_answer(call, data, reply.stdout, reply.obtained, reply.chosen, until=until, renew=renew)


# --- store and erase ---


def store(app: App, given: Mapping[str, object], message: git.Message) -> Reply:
    """Keep another host's password where that is asked for; of a host of ours nothing is ever kept."""
    attributes = git.to_keep(message)
    if attributes is None:
        return SILENCE
    passwords = None if _choose(app, given, message) else _passwords(app, given, message)
    if passwords is None:
        return SILENCE_AGAIN
    from credential_helper.answers.stored_passwords import GIT
    from credential_helper.stores.passwords import expired

    if not expired(attributes, app.clock.now()):
        passwords.store(GIT, attributes)
    return SILENCE


def erase(app: App, given: Mapping[str, object], message: git.Message) -> Reply:
    """Drop the token that a server rejected, or forget another host's password."""
    found = _choose(app, given, message)
    if found is not None:
        return _drop_rejected(app, found[0], message)
    passwords = _passwords(app, given, message)
    if passwords is not None:
        from credential_helper.answers.stored_passwords import GIT

        passwords.erase(GIT, git.pattern(message, secrets=True))
    return SILENCE


def _drop_rejected(app: App, chosen: Chosen, message: git.Message) -> Reply:
    """Drop the access token if it is the rejected one; where the session cannot be changed git goes on all the same."""
    rejected = message.rejected
    if rejected is None:
        app.note("git names no token that was rejected, so none is dropped")
        return SILENCE
    from credential_helper.broker.forget import drop  # and all of oauth: for a token that was rejected

    work = app.means(chosen.profile)
    try:
        dropped = drop(chosen.profile, rejected, work)
    except (StoreError, LockTimeout) as error:
        app.note(f"the rejected token stays: {error.sentence}")
        return Reply(code=error.exit_code)
    app.note("the rejected token is dropped" if dropped else "the rejected token is not ours any more, or too young")
    return SILENCE


# --- other hosts' passwords ---


def _get_stored(app: App, given: Mapping[str, object], message: git.Message) -> Reply:
    """Answer a stored password. What goes wrong is told, and git asks on: the host is not ours."""
    try:
        passwords = _passwords(app, given, message)
        if passwords is None:
            return SILENCE_AGAIN
        from credential_helper.answers.stored_passwords import GIT
        from credential_helper.stores.passwords import INDEX

        attributes = passwords.get(GIT, git.pattern(message))
        if attributes is None:
            kept = passwords.holds(GIT, git.pattern(message))
            return SILENCE if kept else Reply(stands_on=((INDEX, passwords.seen),))
        if app.watched:
            attributes = {**attributes, **{key: "***" for key in git.SECRETS if key in attributes}}
        return Reply(stdout=git.stored(attributes, message))
    except CredentialHelperError as error:
        app.terminal.error(error)
        return Reply(code=error.exit_code)


OPERATIONS: dict[str, Callable[[App, Mapping[str, object], git.Message], Reply]] = {
    "get": get,
    "store": store,
    "erase": erase,
}
