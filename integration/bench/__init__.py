"""``make bench``: what each thing costs that users wait for, as ratios to the bare interpreter and to /bin/true.

The bare interpreter is ``python -c pass`` of the environment that the program is installed in. Whatever is compared
runs in the same turn, right before or after; a ratio is the median over the turns. No absolute time is printed, as it
says more about the machine than about us, unless the goal itself is one: what a person waits longer than for a bare
interpreter, and the crowds.

    __main__        the options, the rows in order, the table at the end
    measuring       programs beside each other; ``runner`` starts them
    ratios          the numbers
    installations   the program as pip, pipx and uv install it
    homes           somebody who is signed in, and what is done to that before each start
    providers       the provider, which can be slow or far away (``line``)
    crowds          many processes at once; ``crowd_runner`` starts them, ``memory`` looks at them
    rows/           one module for what is measured in one way
    peers           the others on PATH
    table           goals beside figures

A row makes its own state, checks that the answer is right and that the provider was asked as often as it has to be, and
fails loudly where not. What cannot be measured here is said by name.
"""
