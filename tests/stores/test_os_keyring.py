"""stores.os_keyring without a system keyring: deadlines, liars and words. The real one is in integration/.

The keyrings below are chosen as a user would choose them: by PYTHON_KEYRING_BACKEND, with store = "keyring".
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError, PasswordSetError

from credential_helper.errors import StoreError
from credential_helper.model import Secret
from credential_helper.stores.os_keyring import Keyring
from tests.helpers.backends import Memory
from tests.helpers.programs import CHECKOUT, DEADLINE

NAME = "0123456789abcdef0123456789abcdef"
USER = "prod ada@example.com"


class Slow(Memory):
    """One that waits for somebody to answer its dialog."""

    answered = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.answered.wait()
        return super().get_password(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.answered.wait()
        super().set_password(service, username, password)


class SlowToSet(Slow):
    """One that is open for readers."""

    def get_password(self, service: str, username: str) -> str | None:
        return Memory.get_password(self, service, username)


class SlowToReadBack(Slow):
    """One that is slow from the first change on."""

    changed = False

    def get_password(self, service: str, username: str) -> str | None:
        read = Slow.get_password if self.changed else Memory.get_password
        return read(self, service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.changed = True
        Memory.set_password(self, service, username, password)


class Lying(Memory):
    """One that forgets."""

    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002
        return None


class Locked(Memory):
    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002
        raise KeyringLocked("Failed to unlock the collection!")

    def delete_password(self, service: str, username: str) -> None:  # noqa: ARG002
        raise PasswordDeleteError("cannot")


class Telltale(Memory):
    """One whose exceptions hold what it was given, as those of a plugin that runs a program do."""

    def set_password(self, service: str, username: str, password: str) -> None:  # noqa: ARG002
        raise PasswordSetError(f"['vault', 'store', '{password}'] returned 1")


class Quitting(Memory):
    def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002
        raise SystemExit("no keyring today")


class WinVaultKeyring(Memory):
    """Named like the Windows one, whose limit nothing else here has."""


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    Memory.records.clear()
    Slow.answered.clear()
    yield
    Slow.answered.set()


def chosen(kind: type[KeyringBackend] | str, deadline: float = 9.0, note: Callable[[str], None] = print) -> Keyring:
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    environ = {"PYTHON_KEYRING_BACKEND": name}
    return Keyring(environ=environ, deadline=lambda: deadline, store="keyring", note=note)


def refusal(call: Callable[[], object]) -> StoreError:
    with pytest.raises(StoreError) as caught:
        call()
    return caught.value


# --- records ----------------------------------------------------------------------------------------------------------


def test_the_random_name_is_in_the_service_and_the_user_name_is_for_people() -> None:
    chosen(Memory).write(NAME, USER, Secret("token"))
    assert Memory.records == {(f"credential-helper/{NAME}", USER): "token"}


def test_a_record_is_read_replaced_and_forgotten() -> None:
    keyring = chosen(Memory)
    assert keyring.read(NAME, USER) is None
    keyring.write(NAME, USER, Secret("first"))
    keyring.write(NAME, USER, Secret("second"))
    assert keyring.read(NAME, USER) == Secret("second")
    keyring.delete(NAME, USER)
    assert keyring.read(NAME, USER) is None


def test_forgetting_what_is_not_there_is_no_error() -> None:
    chosen(Memory).delete(NAME, USER)


@pytest.mark.parametrize(("given", "kept"), [("", "credential-helper"), ("a\x1b[31m\u202eb\n", "a[31mb")])
def test_a_user_name_is_never_empty_and_never_holds_controls(given: str, kept: str) -> None:
    keyring = chosen(Memory)
    keyring.write(NAME, given, Secret("token"))
    assert list(Memory.records) == [(f"credential-helper/{NAME}", kept)]
    assert keyring.read(NAME, given) == Secret("token")


# --- keyrings that fail -----------------------------------------------------------------------------------------------


def test_a_keyring_that_forgets_is_found_out_when_writing() -> None:
    error = refusal(lambda: chosen(Lying).write(NAME, USER, Secret("token")))
    assert error.sentence == "the keyring test os keyring Lying did not keep what was written to it"


@pytest.mark.parametrize("name", ["keyring.backends.null.Keyring", "keyring.backends.fail.Keyring"])
def test_the_keyrings_that_only_pretend_are_none(name: str) -> None:
    notes: list[str] = []
    keyring = chosen(name, note=notes.append)
    kind = name.split(".")[2]
    assert not keyring.usable("keyring")
    assert notes == [f"no keyring: there is no keyring here (keyring chose {kind} Keyring)"]
    assert keyring.backend() == f"none (there is no keyring here (keyring chose {kind} Keyring))"


@pytest.mark.parametrize("name", ["no.such.module.Keyring", "keyring.backends.null.Nothing", "nothing"])
def test_a_keyring_that_does_not_exist_is_named(name: str) -> None:
    error = refusal(lambda: chosen(name).read(NAME, USER))
    assert error.sentence == f"there is no keyring {name}"
    assert error.hint is not None
    assert "PYTHON_KEYRING_BACKEND" in error.hint


RING = """
import sys
from credential_helper.stores.os_keyring import Keyring
before = list(sys.path)
print(Keyring(environ={}, deadline=lambda: 9.0, store="keyring").backend().partition(" (")[0])
assert sys.path == before
"""


def named_by_keyringrc(folder: Path, content: bytes) -> str:
    """Return the keyring that a process takes whose XDG_CONFIG_HOME has this keyringrc.cfg."""
    file = folder / "python_keyring" / "keyringrc.cfg"
    file.parent.mkdir()
    file.write_bytes(content)
    environ = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", RING], env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="keyringrc.cfg is below XDG_CONFIG_HOME, and there is no keyring")
@pytest.mark.parametrize("named", ["default-keyring = not_installed.Ring\n", ""])
def test_keyringrc_brings_no_folder(tmp_path: Path, named: str) -> None:
    """It may stand in a checkout: nothing is loaded from there, neither by its name nor as a plugin."""
    ran = tmp_path / "ran"
    plugin = tmp_path / "not_installed-1.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Name: not-installed\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[keyring.backends]\nx = not_installed\n")
    (tmp_path / "not_installed.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    assert named_by_keyringrc(tmp_path, f"[backend]\n{named}keyring-path = {tmp_path}\n".encode()) == "none"
    assert not ran.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="keyringrc.cfg is below XDG_CONFIG_HOME, and there is no keyring")
@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"[backend]\ndefault-keyring = tests.helpers.backends.Memory \n", "backends Memory"),
        (b"[backend]\ndefault-keyring = \n", "none"),
        (b"[backend]\n[backend]\n", "none"),
        (b"no section", "none"),
        (b"\xff", "none"),
    ],
)
def test_keyringrc_names_what_is_installed(tmp_path: Path, content: bytes, name: str) -> None:
    assert named_by_keyringrc(tmp_path, content) == name


def test_a_locked_keyring_is_not_an_empty_one() -> None:
    error = refusal(lambda: chosen(Locked).read(NAME, USER))
    assert (error.sentence, error.hint, error.exit_code) == ("the keyring is locked", "unlock the keyring", 74)


def test_a_record_that_cannot_be_deleted_is_not_called_deleted() -> None:
    assert refusal(lambda: chosen(Locked).delete(NAME, USER)).sentence == "the keyring is locked"


def test_a_plugin_that_exits_does_not_end_the_program() -> None:
    error = refusal(lambda: chosen(Quitting).read(NAME, USER))
    assert error.sentence == "the keyring test os keyring Quitting could not be read (SystemExit)"


def test_no_secret_gets_into_a_sentence_or_a_traceback() -> None:
    token = os.urandom(8).hex()
    error = refusal(lambda: chosen(Telltale).write(NAME, USER, Secret(token)))
    assert error.sentence == "the keyring test os keyring Telltale could not be written (PasswordSetError)"
    assert token not in "".join(traceback.format_exception(error)) + repr(error) + str(error.hint)


def test_what_windows_cannot_hold_is_refused_before_it_is_tried() -> None:
    keyring = chosen(WinVaultKeyring)
    keyring.write(NAME, USER, Secret("x" * 1280))
    error = refusal(lambda: keyring.write(NAME, USER, Secret("x" * 1281)))
    assert error.sentence == ("the secret is too long for the Windows Credential Manager (2562 of 2560 bytes)")
    assert keyring.read(NAME, USER) == Secret("x" * 1280)


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_a_keyring_that_does_not_answer_costs_its_deadline_once() -> None:
    deadlines = iter((0.1, 3600.0))  # whoever waits again does it for an hour
    environ = {"PYTHON_KEYRING_BACKEND": f"{__name__}.Slow"}
    keyring = Keyring(environ=environ, deadline=lambda: next(deadlines), store="keyring")
    began = time.monotonic()
    assert refusal(lambda: keyring.read(NAME, USER)).sentence == "the keyring did not answer within 0.1 s"
    assert time.monotonic() - began > 0.05
    error = refusal(lambda: keyring.delete(NAME, USER))
    assert (error.sentence, error.hint) == ("the keyring still does not answer", "unlock the keyring")


def test_a_keyring_that_was_unlocked_in_the_meantime_is_used_again() -> None:
    keyring = chosen(Slow, deadline=0.1)
    refusal(lambda: keyring.read(NAME, USER))
    Slow.answered.set()
    wait_for_keyring_threads()
    assert keyring.read(NAME, USER) is None


def test_a_secret_written_too_late_is_removed_again() -> None:
    keyring = chosen(Slow, deadline=0.1)
    refusal(lambda: keyring.write(NAME, USER, Secret("token")))
    Slow.answered.set()
    wait_for_keyring_threads()
    assert Memory.records == {}


@pytest.mark.parametrize("call", ["get", "set", "read back"])
def test_a_secret_written_too_late_leaves_the_one_before(call: str) -> None:
    """The person was told that the new one is not kept, and the name may be one that stays (``secret set``)."""
    chosen(Memory).write(NAME, USER, Secret("old"))
    slow = {"get": Slow, "set": SlowToSet, "read back": SlowToReadBack}[call]
    refusal(lambda: chosen(slow, deadline=0.1).write(NAME, USER, Secret("new")))
    Slow.answered.set()
    wait_for_keyring_threads()
    assert chosen(Memory).read(NAME, USER) == Secret("old")


def test_the_deadline_is_asked_anew_for_each_call() -> None:
    seconds = [0.05]
    keyring = Keyring(
        environ={"PYTHON_KEYRING_BACKEND": f"{__name__}.Slow"}, deadline=lambda: seconds[0], store="keyring"
    )
    assert "0.05 s" in refusal(lambda: keyring.read(NAME, USER)).sentence
    Slow.answered.set()
    wait_for_keyring_threads()
    Slow.answered.clear()
    seconds[0] = 0.1
    assert "0.1 s" in refusal(lambda: keyring.read(NAME, USER)).sentence


def wait_for_keyring_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "keyring":
            thread.join(DEADLINE)


# --- which keyring ----------------------------------------------------------------------------------------------------


def test_usable_chooses_the_keyring_that_is_used_from_then_on() -> None:
    keyring = Keyring(environ={"PYTHON_KEYRING_BACKEND": f"{__name__}.Memory"}, deadline=lambda: 9.0)
    assert refusal(lambda: keyring.read(NAME, USER)).sentence == "there is no keyring here (no D-Bus session)"
    assert not keyring.usable("auto")
    assert keyring.usable("keyring")
    assert keyring.backend() == "backends Memory"
    keyring.write(NAME, USER, Secret("token"))


def python(snippet: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    prelude = (
        "import os, sys\nfrom credential_helper.stores.os_keyring import Keyring\n"
        "from tests.helpers.backends import Noisy\n"
    )
    prelude = prelude if "Noisy" in snippet else prelude.rpartition("from tests")[0]
    return subprocess.run(
        [sys.executable, "-c", prelude + snippet],
        cwd=CHECKOUT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )


def test_a_machine_without_a_session_bus_does_not_even_import_keyring(environ: dict[str, str]) -> None:
    snippet = """
keyring = Keyring(environ=os.environ, deadline=lambda: 3.0)
print(keyring.usable("auto"), keyring.backend(), "keyring" in sys.modules)
"""
    ran = python(snippet, environ)
    assert (ran.stdout, ran.stderr) == ("False none (there is no keyring here (no D-Bus session)) False\n", "")


def test_auto_runs_no_code_of_installed_plugins_and_store_keyring_does(tmp_path: Path, environ: dict[str, str]) -> None:
    plugins = tmp_path / "plugins"
    (plugins / "plugin-1.0.dist-info").mkdir(parents=True)
    (plugins / "plugin-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (plugins / "plugin-1.0.dist-info" / "entry_points.txt").write_text("[keyring.backends]\nplugin = the_plugin\n")
    (plugins / "the_plugin.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    environ |= {"PYTHONPATH": str(plugins), "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/no-bus"}
    snippet = """
for store in ("auto", "keyring"):
    keyring = Keyring(environ=os.environ, deadline=lambda: 10.0, store=store)
    keyring.backend()
    print(store, os.path.exists(sys.argv[1]))
"""
    ran = python(snippet.replace("sys.argv[1]", repr(str(tmp_path / "ran"))), environ)
    assert (ran.stdout, ran.stderr) == ("auto False\nkeyring True\n", "")


def test_nothing_of_a_keyring_reaches_stderr(environ: dict[str, str]) -> None:
    snippet = """
environ = {"PYTHON_KEYRING_BACKEND": Noisy.__module__ + ".Noisy"}
print(Keyring(environ=environ, deadline=lambda: 10.0, store="keyring").read("a" * 32, "prod"))
"""
    ran = python(snippet, environ)
    assert (ran.stdout, ran.stderr) == ("None\n", "")


def test_the_exit_does_not_wait_for_a_hanging_keyring(environ: dict[str, str]) -> None:
    snippet = """
from credential_helper.errors import StoreError
environ = {"PYTHON_KEYRING_BACKEND": "tests.stores.test_os_keyring.Slow"}
keyring = Keyring(environ=environ, deadline=lambda: 1.0, store="keyring")
try:
    keyring.read("a" * 32, "prod")
except StoreError as error:
    print(error)
"""
    ran = python(snippet, environ)  # Slow waits for ever
    assert ran.stdout == "the keyring did not answer within 1 s\n"
    assert ran.stderr == ""


def test_a_bus_address_that_leads_nowhere_is_no_keyring(tmp_path: Path, environ: dict[str, str]) -> None:
    environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={tmp_path}/no-bus"
    ran = python("print(Keyring(environ=os.environ, deadline=lambda: 3.0).backend())", environ)
    assert (ran.stdout, ran.stderr) == ("none (there is no keyring here (D-Bus: No such file or directory))\n", "")
