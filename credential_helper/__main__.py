"""The entry point: a kept reply first, then the command line. Every way out is one ``os._exit``.

Nothing but os, sys and the hot path is imported here. Interpreter shutdown (23 ms with 300 modules loaded) is
skipped; everything has been written and flushed by then.
"""

import os
import sys

from credential_helper import replies


def main() -> None:
    """Answer, and end the process; never returns."""
    code = 130
    try:
        code = _answer()
    except KeyboardInterrupt:
        pass
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
    os._exit(code)


def _say(sentence: str) -> None:
    try:
        os.write(2, f"credential-helper: {sentence}\n".encode("ascii", "replace"))
    except OSError:  # nobody reads it; the exit code remains
        return


def _answer() -> int:
    if not replies.standard_descriptors():
        _say("stdout is closed: there is nowhere to write the answer to")
        return 74
    answered, heard = replies.replay(sys.argv, os.environ)
    if answered:
        return 0
    import gc

    gc.disable()  # the process is short and its memory goes with it
    from credential_helper import cli

    return cli.run(sys.argv, os.environ, heard=heard)


if __name__ == "__main__":
    main()
