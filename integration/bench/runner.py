"""The program that starts and measures the others: ``python -I -S runner.py FOLDER``.

It imports nothing beyond what an interpreter has at its start. ru_maxrss of a process begins with what its parent had
in memory (Linux keeps the old image's high-water mark across exec), so the parent has to be smaller than what it
measures.

FOLDER/plan is ``(commands, turns)``: what to start, and in which order; FOLDER/spent is what each start took, in that
order. FOLDER/TURN-COMMAND is what it wrote to stdout. Before a command that needs preparation the runner writes the
command's number and a newline to stdout, and waits for a byte on stdin: what is done meanwhile is not measured.
"""

import marshal
import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resource import struct_rusage

# On a terminal a person has 24 rows and 80 columns here; struct winsize of <asm-generic/termios.h>.
SIZE = b"".join(number.to_bytes(2, sys.byteorder) for number in (24, 80, 0, 0))
NEW = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC


def finished(words: list[str], environ: dict[str, str], source: str, target: str) -> "tuple[float, int, struct_rusage]":
    """Run a program to its end; return seconds, its status, and what it used."""
    actions = [
        (posix.POSIX_SPAWN_OPEN, 0, source, posix.O_RDONLY, 0),
        (posix.POSIX_SPAWN_OPEN, 1, target, NEW, 0o600),
        (posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_WRONLY, 0),
    ]
    began = time.perf_counter()
    pid = posix.posix_spawn(words[0], words, environ, file_actions=actions)
    _, status, used = posix.wait4(pid, 0)
    return time.perf_counter() - began, status, used


def shown(words: list[str], environ: dict[str, str], target: str, until: bytes) -> "tuple[float, int, struct_rusage]":
    """Run a program on a terminal of its own until ``until`` stands there, then kill it.

    What the terminal shows is kept as what it wrote; a program that ended before has a status other than SIGKILL's.
    """
    import fcntl
    import termios

    master, slave = posix.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, SIZE)
    name = posix.ttyname(slave)
    # The leader of a session gets the first terminal that it opens as its own.
    actions = [
        (posix.POSIX_SPAWN_OPEN, 0, name, posix.O_RDWR, 0),
        (posix.POSIX_SPAWN_OPEN, 1, "/dev/null", posix.O_WRONLY, 0),
        (posix.POSIX_SPAWN_DUP2, 0, 2),
    ]
    screen = b""
    began = time.perf_counter()
    pid = posix.posix_spawn(words[0], words, environ, file_actions=actions, setsid=True)
    posix.close(slave)
    while until not in screen:
        try:
            read = posix.read(master, 65536)
        except OSError:  # EIO: the last program has gone
            break
        if not read:
            break
        screen += read
    wall = time.perf_counter() - began
    posix.kill(pid, 9)
    _, status, used = posix.wait4(pid, 0)
    posix.close(master)
    descriptor = posix.open(target, NEW, 0o600)
    posix.write(descriptor, screen)
    posix.close(descriptor)
    return wall, status, used


def main(folder: str) -> None:
    with open(folder + "/plan", "rb") as file:
        commands, turns = marshal.load(file)
    spent = []
    for turn, order in enumerate(turns):
        for number in order:
            words, environ, until, prepared = commands[number]
            if prepared:
                posix.write(1, f"{number}\n".encode())
                posix.read(0, 1)
            target = f"{folder}/{turn}-{number}"
            if until:
                wall, status, used = shown(words, environ, target, until)
            else:
                wall, status, used = finished(words, environ, f"{folder}/input-{number}", target)
            spent.append((wall, used.ru_utime + used.ru_stime, used.ru_maxrss, status))
    with open(folder + "/spent", "wb") as file:
        marshal.dump(spent, file)


main(sys.argv[1])
