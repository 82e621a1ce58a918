"""The lines that README tells people to type: with the real programs, in a home of their own, once and once more."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from integration.clients.programs import kubectls
from integration.clients.real import missing, need

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
GIT_PAGE = (CHECKOUT / "docs" / "tools" / "git.md").read_text(encoding="utf-8")
HELPER = "credential.https://git.example.com.helper"


def lines_of(program: str, text: str = README) -> list[str]:
    """Return what a page tells to type that begins with a program's name and ``config``, each in one line."""
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    return [line for line in blocks.splitlines() if line.startswith(f"{program} config ")]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "credential-helper").touch(mode=0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    return {"HOME": str(tmp_path), "PATH": path, "LANG": "C.UTF-8"}


def typed(lines: list[str], home: dict[str, str]) -> None:
    for line in lines:
        done = subprocess.run(["/bin/sh", "-c", line], env=home, cwd=home["HOME"], capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b""), line


def helpers(home: dict[str, str], key: str = HELPER) -> list[str]:
    said = subprocess.run(
        [need("git"), "config", "--global", "--get-all", key], env=home, capture_output=True, text=True, timeout=60
    )
    return said.stdout.split("\n")[:-1]


def test_git_s_lines_may_be_typed_again(home: dict[str, str]) -> None:
    need("git")
    lines = [line for line in lines_of("git") if HELPER in line]
    assert len(lines) == 2
    for _ in range(3):
        typed(lines, home)
        assert helpers(home) == ["", "helper"]
    subprocess.run([need("git"), "config", "--global", "--add", HELPER, "store"], env=home, check=True, timeout=60)
    typed(lines, home)
    assert helpers(home) == ["", "helper"]


def test_the_lines_of_git_s_page_may_be_typed_again_and_in_any_order(home: dict[str, str]) -> None:
    need("git")
    lines = [line for line in lines_of("git", GIT_PAGE) if HELPER in line]
    assert lines[:2] == [line for line in lines_of("git") if HELPER in line]
    for _ in range(2):
        typed(lines[2:4], home)  # with the absolute path, for an IDE
        assert helpers(home) == ["", f"{home['HOME']}/bin/credential-helper git"]
        typed(lines[:2], home)
        assert helpers(home) == ["", "helper"]
    [everywhere] = re.findall(r"`(git config --global --replace-all\s+credential\.helper [^`]+)`", GIT_PAGE)
    for _ in range(2):
        typed([" ".join(everywhere.split())], home)
        assert helpers(home, "credential.helper") == ["helper"]


def test_kubectl_s_lines_may_be_typed_again(home: dict[str, str]) -> None:
    found = kubectls()
    if not found or int(found[-1].version.split(".")[1]) < 30:
        missing("kubectl 1.30 or newer is not installed")
    bin_ = Path(home["HOME"], "bin", "kubectl")
    bin_.symlink_to(found[-1].path)
    typed(["kubectl config set-context here", "kubectl config use-context here"], home)
    seen = []
    for _ in range(2):
        typed(lines_of("kubectl"), home)
        view = subprocess.run(
            ["kubectl", "config", "view", "--output=json"], env=home, capture_output=True, check=True, timeout=60
        )
        seen.append(json.loads(view.stdout))
    assert seen[0] == seen[1]
    [user] = seen[0]["users"]
    assert user["user"]["exec"]["args"] == ["kubectl", "--profile", "prod"]


def test_docker_s_line_is_json_that_can_be_written_again() -> None:
    [line] = re.findall(r"`(\{ \"credHelpers\":[^`]+\})`", README)
    assert json.loads(line) == {"credHelpers": {"registry.example.com:5000": "helper"}}
