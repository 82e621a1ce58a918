"""What the operating system allows this process: no core dump, and a sentence where it gives no more."""

from __future__ import annotations

import errno

from credential_helper.errors import Exhausted

_NO_CORE = 1  # bytes: too few for a file, and Linux takes 1 to forbid the pipe to a crash reporter, too (core(5))
_GIVES_NO_MORE = {
    errno.EMFILE: ("this process may open no more files", "raise ulimit -n"),
    errno.ENFILE: ("this machine can open no more files", None),
    errno.EAGAIN: ("no more processes can be started here", "raise ulimit -u, or the container's limit of processes"),
    errno.ENOMEM: ("there is no memory left", None),
}


def forbid_core_dumps() -> None:
    """Keep tokens out of core dumps: a crash, SIGQUIT or SIGABRT would write all of the memory to a file.

    Children inherit it; they were given secrets, too, or are browsers, which have reporters of their own.
    """
    try:
        import resource
    except ImportError:  # Windows, which writes none unless it was told to for this program
        return
    try:
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0 if most == 0 else _NO_CORE, most))
    except (OSError, ValueError):
        return


def exhausted(error: BaseException) -> Exhausted | None:
    """Return what the operating system refused, where it is the reason of an error; None: something else is."""
    reason: BaseException | None = error
    while reason is not None:
        number = reason.errno if isinstance(reason, OSError) else None
        if isinstance(reason, MemoryError):
            number = errno.ENOMEM
        elif isinstance(reason, RuntimeError) and "start new thread" in str(reason):
            number = errno.EAGAIN
        if number in _GIVES_NO_MORE:
            sentence, hint = _GIVES_NO_MORE[number]
            return Exhausted(sentence, hint=hint)
        reason = reason.__cause__ or reason.__context__
    return None
