"""The launcher: a small program that answers from what is kept, and leaves the rest to Python."""

from __future__ import annotations

import os
from pathlib import Path

from integration.bench.measuring import Command, Unmeasured, bare, measure, true
from integration.bench.ratios import ratios
from integration.bench.report import Report
from integration.bench.rows.answers import calls, once, require, signed_in, silent
from integration.bench.setting import Setting
from tests.helpers.programs import Launcher


def launcher(setting: Setting) -> Path:
    """Have the program compile its launcher, and return the folder that it is in. Unmeasured: it has none."""
    folder = setting.folder / "launcher"
    if (folder / "credential-helper").exists():
        return folder
    folder.mkdir(mode=0o700, exist_ok=True)
    home = setting.place("launcher-home")
    home.mkdir()
    starter = Launcher({"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
    if starter.run([setting.own.executable, "launcher", "--help"]).code != 0:
        raise Unmeasured("no launcher here: the program has no such command")
    done = starter.run([setting.own.executable, "launcher", folder], timeout=120)
    if done.code != 0 or not (folder / "credential-helper").exists():
        said = (done.stderr.strip() or done.text.strip()).partition("\n")[0]
        raise Unmeasured(f"the launcher was not made: {said}")
    return folder


def launched(setting: Setting, report: Report) -> None:
    """Measure hits, silence and a miss through the launcher."""
    folder = launcher(setting)
    place, token = signed_in(setting, setting.own, "launched")

    def through(command: Command) -> Command:
        program, *words = command.words
        return command._replace(words=[str(folder / Path(program).name), *words])

    hits = {label: through(command) for label, command in calls(place).items()}
    nothing = {label: through(command) for label, command in silent(place).items()}
    for command in (*hits.values(), *nothing.values()):
        once(command, place)
    report.title("through the launcher")
    miss = place.kubectl()._replace(prepare=place.forget_replies)
    every = [bare(setting.own.python, place.environ), true(place.environ), *hits.values(), *nothing.values()]
    runs = measure(every, setting.turns)
    require(dict(zip((*hits, *nothing), runs[2:], strict=True)), token)
    found = dict(zip((*hits, *nothing), report.lines([*hits, *nothing], runs), strict=True))
    report.keep("launched", *(found[label].cpu for label in hits))
    report.keep("launched silence", *(found[label].cpu for label in nothing))
    labels = ["valid session, nothing kept, kubectl", "the same without the launcher"]
    misses = measure([*every[:2], through(miss), miss], setting.turns)
    report.lines(labels, misses)
    beside = ratios(misses[2].spent, misses[3].spent)
    report.say(f"a miss through the launcher, to one without it: wall {beside.wall:.3f}, cpu {beside.cpu:.3f}")
