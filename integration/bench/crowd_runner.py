"""The program that starts a crowd: ``python -I -S crowd_runner.py FOLDER``. As small as ``runner``, for its reason.

FOLDER/plan is ``(count, words, environ)``. FOLDER/pids holds the process ids once all are started; FOLDER/ended is, for
each, when it ended (time.monotonic), the cpu that it took and its status. FOLDER/NUMBER is what it wrote to stdout.
"""

import marshal
import posix
import sys
import time

NEW = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC


def main(folder: str) -> None:
    with open(folder + "/plan", "rb") as file:
        count, words, environ = marshal.load(file)
    pids = []
    for number in range(count):
        actions = [
            (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", posix.O_RDONLY, 0),
            (posix.POSIX_SPAWN_OPEN, 1, f"{folder}/{number}", NEW, 0o600),
            (posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_WRONLY, 0),
        ]
        pids.append(posix.posix_spawn(words[0], words, environ, file_actions=actions))
    with open(folder + "/new", "wb") as file:
        marshal.dump(pids, file)
    posix.rename(folder + "/new", folder + "/pids")
    ended = []
    for _ in pids:
        _, status, used = posix.wait4(-1, 0)
        ended.append((time.monotonic(), used.ru_utime + used.ru_stime, status))
    with open(folder + "/ended", "wb") as file:
        marshal.dump(ended, file)


main(sys.argv[1])
