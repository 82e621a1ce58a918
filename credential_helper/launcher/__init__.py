"""The launcher: a small C program that answers from a kept reply, in a tenth of the time that Python takes to start.

One decision, two readers: ``launcher.c`` finds the replies that ``replies`` finds, and hands everything else to the
installed program. Whoever wants it compiles it on their own machine (``commands/launcher.py``); nothing else depends on
it, and to delete it is to undo it.

    table    what both readers know, written for the compiler: no word and no number of it stands in launcher.c
    build    launcher.c to a program, by the system's own compiler
    cases    requests and replies, good and bad, that both readers have to judge alike
    readers  a case through both of them
    place    the program to a folder, and what it may take the place of there
"""
