"""Sign in once, serve every tool.

A request comes in on argv, stdin or the environment. ``replies`` answers an identical one that is still valid, in the
time that Python takes to start. Otherwise ``cli`` finds the row that is called, and the credential is obtained:

    tools        what the program can answer: a table, and one pure file per tool
    answers      how a call by a tool is answered        commands    what people type
    app          one run: the only place where all that follows is put together
    subjects     another profile's token, for one that exchanges it
    again        the call that was just answered, once more and for nobody, to renew ahead
    broker       how a credential is obtained, step by step: start reading at ``broker/obtain.py``
    profiles     which profile serves a request, and how it came about
    oauth        how a provider is asked                 transport   the single place that opens a connection
    stores       what is kept                            terminal    what is said to a person
    system       what the operating system is asked      replies     ready-made answers: the hot path
    bin          the executable                          isolation   what it may load beyond the hot path
    words        what tools say on a command line        lean        what it does without then

Four tables say what the program knows: ``tools/__init__.py``, ``flows.py``, ``providers.py`` and ``workloads.py``.
``model``, ``errors`` and ``text`` are the values and words that they all share.
"""

__version__ = "0.1.0"
PROGRAM = "credential-helper"  # its own name; tools call it by others, too
