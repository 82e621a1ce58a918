"""kubectl as a whole: what a person waits for, with a token in the kubeconfig and with ours."""

from __future__ import annotations

import json
from pathlib import Path

from integration.bench.measuring import Command, Failed, Unmeasured, bare, measure, true
from integration.bench.ratios import ratios
from integration.bench.report import Report
from integration.bench.rows.answers import signed_in
from integration.bench.rows.launchers import launcher
from integration.bench.setting import Setting
from integration.clients.programs import kubectls
from integration.servers.kube_api import POD, KubeApi, write_kubeconfig
from integration.servers.tls import Authority


def kubectl(setting: Setting, report: Report) -> None:
    """Measure ``kubectl get pods`` with a static token, with a kept answer of ours, and with the launcher's."""
    found = kubectls()
    if not found:
        raise Unmeasured("there is no kubectl on PATH")
    place, token = signed_in(setting, setting.own, "kubectl")
    folder = setting.place("kube-api")
    folder.mkdir()
    ways = {"with our kept answer": place.call("kubectl")[0]}
    try:
        ways["with the launcher's"] = str(launcher(setting) / "credential-helper")
    except Unmeasured as why:
        report.lacks(str(why), "kubectl")
    with KubeApi(Authority(folder)) as kube:
        kube.trust_token(token.decode(), user="ada")
        files = {"with a static token": _static(folder, kube, token.decode())}
        for label, program in ways.items():
            files[label] = write_kubeconfig(folder / label, kube, command=program, args=["kubectl"])
        words = {label: [found[-1].path, "--kubeconfig", str(file), "get", "pods"] for label, file in files.items()}
        commands = [Command(one, place.environ) for one in words.values()]
        every = [bare(setting.own.python, place.environ), true(place.environ), *commands]
        runs = measure(every, setting.turns)
        if not all(POD.encode() in run.output for run in runs[2:]) or {call.status for call in kube.calls} != {200}:
            raise Failed("kubectl was not let in")
    report.title(f"kubectl {found[-1].version} get pods, as a whole")
    report.lines(list(files), runs)
    for label, run in zip(ways, runs[3:], strict=True):
        beside = ratios(run.spent, runs[2].spent)
        report.say(f"{label}, to one with a static token: wall {beside.wall:.2f}, cpu {beside.cpu:.2f}")
        if label != "with our kept answer":
            report.keep("kubectl", beside.cpu)
        else:
            report.keep("kubectl without launcher", beside.cpu)


def _static(folder: Path, kube: KubeApi, token: str) -> Path:
    """Write a kubeconfig whose user has a token."""
    file = write_kubeconfig(folder / "static", kube, command="none")
    document = json.loads(file.read_text())
    document["users"][0]["user"] = {"token": token}
    file.write_text(json.dumps(document))
    return file
