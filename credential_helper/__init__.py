"""Sign in once, serve every tool.

A request comes in on argv, stdin or the environment. ``replies`` answers an identical one that is still valid, in the
time that Python takes to start; else ``cli`` lets ``protocols`` read it, ``profiles`` say who is asked, and ``broker``
obtain a credential: from ``stores``, or through ``oauth``, with a person's help through ``terminal``. ``model`` and
``errors`` are the words they all share. Start reading at ``broker``.
"""

__version__ = "0.1.0"
PROGRAM = "credential-helper"  # its own name; tools call it by others, too
