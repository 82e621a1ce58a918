"""The entry point: a kept reply first, then the command line. Every way out is one ``os._exit``.

``bin/credential-helper`` calls ``main``. Nothing but sys and the hot path is imported here. Interpreter shutdown
(23 ms with 300 modules loaded) is skipped; everything has been written and flushed by then.
"""

import sys

from credential_helper import replies
from credential_helper.light import WINDOWS, decode, system


def main() -> None:
    """Answer, and end the process; never returns."""
    code = 130
    try:
        code = _answer()
    except KeyboardInterrupt as stop:
        code = 130 if type(stop) is KeyboardInterrupt else 129  # nobody waits for the answer any more
    except OSError as error:  # an answer was begun and cannot be finished: nothing may follow it on stdout
        code = 74
        if error.filename is not None:  # an import
            code = 75
            _say(f"a file of ours cannot be read: {error.strerror}")
        elif not isinstance(error, BrokenPipeError):
            _say("the answer cannot be written to stdout")
    except Exception as error:  # a package that is broken, say: its text may hold anything
        code = 70
        _say(f"a defect of ours, or of what we are installed with: {type(error).__name__}")
    system._exit(code)


def start_script() -> None:
    """Begin where the start scripts that installers write do: credential-helper.exe, and credential-helper.py.

    The latter is there for its first line, and hands over to ``bin/credential-helper`` beside it.
    """
    import os

    isolated = sys.argv[0].removesuffix(".py")
    if os.name == "posix" and isolated != sys.argv[0] and os.access(isolated, os.X_OK):
        os.execv(isolated, [isolated, *sys.argv[1:]])  # noqa: S606 - our own, by its path
    from credential_helper import isolation

    isolation.drop_pythonpath(os.environ)
    main()


def _say(sentence: str) -> None:
    try:
        system.write(2, f"credential-helper: {sentence}\n".encode("ascii", "replace"))
    except OSError:  # nobody reads it; the exit code remains
        return


def _stop(*_: object) -> None:
    """End at once, until cli has handlers of its own.

    An exception is raised wherever the interpreter happens to be: in a library that is half imported it was lost, or
    turned into a RuntimeError, or ended in SIGSEGV.
    """
    system._exit(130)


def _environment() -> dict[str, str]:
    """Return the variables of this process, as os.environ has them where os is loaded."""
    if WINDOWS or "os" in sys.modules:
        import os

        return dict(os.environ)
    return {decode(name): decode(value) for name, value in system.environ.items()}


def _answer() -> int:
    if not replies.standard_descriptors():
        _say("stdout is closed: there is nowhere to write the answer to")
        return 74
    rest = replies.replay(sys.argv, _environment())
    if isinstance(rest, int):
        return rest
    if rest.reply is not None and rest.reply.due is not None:
        from credential_helper.replies import ahead

        if not ahead.begin(rest.reply.due):
            return rest.reply.code
    flight = None
    if rest.reply is None and rest.request is not None:
        from credential_helper.replies import flights

        found = flights.join_in(rest.request, _environment())
        if isinstance(found, replies.Reply):
            replies.write_out(found.answer)
            return found.code
        flight = found
    import _signal  # type: ignore[import-not-found]  # signal itself loads enum, 3 ms
    import gc

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _stop)
    gc.disable()  # the process is short and its memory goes with it
    from credential_helper import isolation

    isolation.add_packages()
    import os

    environ = isolation.clean(os.environ)
    from credential_helper import lazy

    lazy.begin()
    if rest.reply is not None:
        from credential_helper import again

        return again.run(sys.argv, environ, rest)
    from credential_helper import cli

    return cli.run(sys.argv, environ, heard=rest.heard, flight=flight)


if __name__ == "__main__":
    main()
