"""stores.os_keyring against a real Secret Service: gnome-keyring on a D-Bus session of its own, without a display.

Each test starts ``dbus-run-session`` around scenes/secret_service.py, which brings the keyring into one state, runs a
few lines of Python as a process of their own, and prints what they wrote. Nothing touches the keyring of whoever runs
the tests: HOME, the XDG directories and the bus are the test's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.scenes.secret_service import run

NAME, OTHER = "a" * 32, "b" * 32


# --- an unlocked keyring ----------------------------------------------------------------------------------------------


def test_a_secret_is_kept_read_back_replaced_and_forgotten(tmp_path: Path) -> None:
    answer = run(
        tmp_path,
        "unlocked",
        """
seen = {"usable": keyring.usable("auto"), "backend": keyring.backend()}
keyring.write(NAME, "prod ada@example.com", Secret("first"))
keyring.write(NAME, "prod ada@example.com", Secret("second"))
seen["read"] = Keyring(environ=os.environ, deadline=lambda: 9.0).read(NAME, "prod ada@example.com").reveal()
keyring.delete(NAME, "prod ada@example.com")
keyring.delete(NAME, "prod ada@example.com")
seen["gone"] = keyring.read(NAME, "prod ada@example.com") is None
print(json.dumps(seen))
""",
    ).answer()
    assert answer == {"usable": True, "backend": "SecretService Keyring", "read": "second", "gone": True}


def test_a_lookup_is_exact_in_name_and_user_name(tmp_path: Path) -> None:
    answer = run(
        tmp_path,
        "unlocked",
        """
keyring.write(NAME, "prod ada@example.com", Secret("hers"))
keyring.write(OTHER, "prod ada@example.com", Secret("of another home"))
keyring.delete(OTHER, "prod ada@example.com")
seen = [keyring.read(*record) for record in ((NAME, "prod ada@example.com"), (NAME, "prod bob"), (OTHER, "prod"))]
print(json.dumps([secret and secret.reveal() for secret in seen]))
""",
    ).answer()
    assert answer == ["hers", None, None]


def test_a_person_recognises_the_record(tmp_path: Path) -> None:
    answer = run(
        tmp_path,
        "unlocked",
        """
import secretstorage
keyring.write(NAME, "prod ada@example.com", Secret("s"))
bus = secretstorage.dbus_init()
items = list(secretstorage.get_default_collection(bus).get_all_items())
print(json.dumps([[item.get_label(), item.get_attributes()["service"]] for item in items]))
""",
    ).answer()
    service = f"credential-helper/{NAME}"
    assert answer == [[f"Password for 'prod ada@example.com' on '{service}'", service]]


def test_a_long_and_odd_secret_survives(tmp_path: Path) -> None:
    answer = run(
        tmp_path,
        "unlocked",
        """
odd = "é\\u2028\\x7f" + "x" * 65536
keyring.write(NAME, "prod", Secret(odd))
print(json.dumps(keyring.read(NAME, "prod").reveal() == odd))
""",
    ).answer()
    assert answer is True


def test_auto_heeds_neither_variable_nor_configuration_of_keyring(tmp_path: Path) -> None:
    null = "keyring.backends.null.Keyring"
    for name in ("CONFIG", "DATA"):
        folder = tmp_path / name / "python_keyring"
        folder.mkdir(parents=True)
        (folder / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring={null}\n")
    answer = run(
        tmp_path,
        "unlocked",
        """
any_keyring = Keyring(environ=os.environ, deadline=lambda: 9.0, store="keyring")
print(json.dumps([keyring.backend(), any_keyring.backend()]))
""",
        PYTHON_KEYRING_BACKEND=null,
    ).answer()
    assert answer[0] == "SecretService Keyring"
    assert answer[1] == "none (there is no keyring here (keyring chose null Keyring))"


def test_store_keyring_finds_the_secret_service_by_keyrings_own_discovery(tmp_path: Path) -> None:
    answer = run(
        tmp_path,
        "unlocked",
        """
any_keyring = Keyring(environ=os.environ, deadline=lambda: 9.0, store="keyring")
any_keyring.write(NAME, "prod", Secret("s"))
print(json.dumps([any_keyring.usable("keyring"), any_keyring.read(NAME, "prod").reveal()]))
""",
    ).answer()
    assert answer == [True, "s"]


# --- keyrings that cannot be used now ---------------------------------------------------------------------------------

EVERY_CALL = """
print(json.dumps({
    "usable": keyring.usable("auto"),
    "read": refused(lambda: keyring.read(NAME, "prod")),
    "write": refused(lambda: keyring.write(NAME, "prod", Secret("s"))),
    "delete": refused(lambda: keyring.delete(NAME, "prod")),
    "patient": refused(lambda: patient.read(NAME, "prod")),
    "notes": notes,
}))
"""


def test_a_locked_keyring_is_unavailable_and_not_empty(tmp_path: Path) -> None:
    answer = run(tmp_path, "locked", EVERY_CALL).answer()
    assert answer["usable"] is False
    assert answer["notes"] == ["no keyring: the keyring is locked"]
    for call in ("read", "write", "delete", "patient"):
        sentence, hint, _ = answer[call]
        assert (sentence, hint) == ("the keyring is locked", "unlock the keyring")


def test_no_dialog_is_put_up_where_nobody_has_time_to_answer_it(tmp_path: Path) -> None:
    """A dialog, seen from the bus: whoever unlocks starts gnome-keyring's prompter."""
    snippet = """
def asked(who):
    watched = os.path.join(os.environ["HOME"], "prompted")
    if os.path.exists(watched):
        os.unlink(watched)
    refused(lambda: who.read(NAME, "prod"))
    return os.path.exists(watched)
print(json.dumps([asked(keyring), asked(patient)]))
"""
    services = tmp_path / "DATA" / "dbus-1" / "services"
    services.mkdir(parents=True)
    prompter = tmp_path / "prompter"
    prompter.write_text(f"#!/bin/sh\n: > {tmp_path}/prompted\nexit 1\n")
    prompter.chmod(0o700)
    (services / "org.gnome.keyring.SystemPrompter.service").write_text(
        f"[D-BUS Service]\nName=org.gnome.keyring.SystemPrompter\nExec={prompter}\n"
    )
    assert run(tmp_path, "locked", snippet).answer() == [False, True]


def test_a_service_without_a_default_collection_is_unavailable_and_not_empty(tmp_path: Path) -> None:
    answer = run(tmp_path, "empty", EVERY_CALL).answer()
    assert answer["usable"] is False
    for call in ("read", "write", "delete", "patient"):
        assert answer[call][0] == "the keyring has no default collection"


def test_a_session_bus_without_a_secret_service_is_unavailable(tmp_path: Path) -> None:
    answer = run(tmp_path, "absent", EVERY_CALL).answer()
    assert answer["usable"] is False
    for call in ("read", "write", "delete", "patient"):
        assert answer[call][0].startswith("there is no keyring here (The Secret Service daemon is neither running")
        assert answer[call][1] == 'store = "file" in the profile keeps the refresh token in a private file instead'


def test_a_frozen_keyring_costs_its_deadline_once_and_the_exit_does_not_wait(tmp_path: Path) -> None:
    """No os._exit here: even the interpreter's own farewell must not wait for the thread."""
    snippet = """
deadlines = iter((0.5, 3600.0))  # whoever waits again does it for an hour
keyring = Keyring(environ=os.environ, deadline=lambda: next(deadlines))
first = refused(lambda: keyring.read(NAME, "prod"))
second = refused(lambda: keyring.write(NAME, "prod", Secret("s")))
print(json.dumps([first, second]))
"""
    first, second = run(tmp_path, "frozen", snippet).answer()
    assert first[:2] == ["the keyring did not answer within 0.5 s", "unlock the keyring"]
    assert first[2] > 0.4
    assert second[0] == "the keyring still does not answer"


def test_a_bus_in_the_run_directory_is_found_without_its_variable(tmp_path: Path) -> None:
    """As cron and units have it: XDG_RUNTIME_DIR is set, DBUS_SESSION_BUS_ADDRESS is not."""
    outcome = run(
        tmp_path,
        "unlocked",
        """
address = os.environ.pop("DBUS_SESSION_BUS_ADDRESS")
path = dict(part.split("=", 1) for part in address.partition(":")[2].split(","))["path"]
os.symlink(path, os.path.join(os.environ["XDG_RUNTIME_DIR"], "bus"))
keyring.write("session/" + NAME, "person", Secret("secret"))
found = keyring.read("session/" + NAME, "person")
print(json.dumps([found.reveal(), keyring.usable("auto"), notes]))
""",
    )
    assert outcome.answer() == ["secret", True, []]


@pytest.mark.parametrize(
    "address", ["tcp:host=127.0.0.1,port=9", "unixexec:path=/bin/true", "unix:path=/nowhere;tcp:host=127.0.0.1"]
)
def test_a_bus_elsewhere_is_not_used(tmp_path: Path, address: str) -> None:
    outcome = run(
        tmp_path,
        "unlocked",
        f"""
os.environ["DBUS_SESSION_BUS_ADDRESS"] = {address!r}
print(json.dumps(refused(lambda: keyring.read("session/" + NAME, "person"))[0]))
""",
    )
    assert "none of this machine" in outcome.answer()


def test_a_dialog_of_the_keyrings_is_dismissed_where_nobody_has_time_to_answer_it(tmp_path: Path) -> None:
    """A new collection needs a password, for which gnome-keyring asks; KeePassXC asks before it overwrites."""
    outcome = run(
        tmp_path,
        "unlocked",
        """
import secretstorage
def ask(backend, person):
    return secretstorage.create_collection(secretstorage.dbus_init(), "another")
sentence, hint, _ = refused(lambda: keyring._call("be asked", ask))
keyring.write("session/" + NAME, "person", Secret("secret"))
print(json.dumps([sentence, keyring.read("session/" + NAME, "person").reveal()]))
""",
    )
    assert outcome.answer() == ["the keyring wants to ask a person first", "secret"]


def test_keyring_is_what_auto_takes_where_nothing_else_is_named(tmp_path: Path) -> None:
    outcome = run(
        tmp_path,
        "unlocked",
        """
explicit = Keyring(environ=os.environ, deadline=lambda: 9.0, store="keyring")
keyring.write("secret/ci", "ci", Secret("of before"))
print(json.dumps([explicit.backend() == keyring.backend(), explicit.read("secret/ci", "ci").reveal()]))
""",
    )
    assert outcome.answer() == [True, "of before"]


def test_a_kwallet_without_its_package_is_named(tmp_path: Path) -> None:
    """It is on the bus, and the Secret Service there has no collection."""
    outcome = run(
        tmp_path,
        "absent",
        """
import secretstorage
from jeepney.bus_messages import message_bus
bus = secretstorage.dbus_init()
bus.send_and_get_reply(message_bus.RequestName("org.kde.kwalletd6"))
print(json.dumps(refused(lambda: keyring.read("session/" + NAME, "person"))[:2]))
""",
    )
    sentence, hint = outcome.answer()
    assert sentence.endswith("; KWallet is there, but the Python package dbus-python is not installed")
    assert hint.startswith("uv tool install --with dbus-python credential-helper (pipx inject")
