"""Disks and homes as they should not be: what can be answered is answered, and nothing is spent that cannot be saved.

Read-only, full, missing, somebody else's, writable by others, a symlink; files cut short, from the future, or of
another place. Root ignores permission bits, so disks are really read-only and really full: mounts that only the program
under test sees (unshare -m), and RLIMIT_FSIZE. Whatever happens there is no traceback, and the one warning names
CREDENTIAL_HELPER_STATE_DIR. Logout wins over a refresh and over a sign-in that are under way.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from credential_helper.model import Secret
from credential_helper.session import Place
from credential_helper.stores.private_files import State
from credential_helper.stores.sessions import Sessions
from integration.clients.real import missing
from integration.scenes.homes import NOBODY, PERSON, PROMPT, Home, Report, walk, with_mounts
from integration.servers.hostile_provider import HostileProvider, answer
from integration.servers.oidc import M2M_POST, ODD_SECRET, Face, OidcProvider
from tests.helpers.programs import DEADLINE, Result

WARNING = "CREDENTIAL_HELPER_STATE_DIR"


@pytest.fixture
def home(tmp_path: Path, installed: Path, oidc: OidcProvider) -> Iterator[Home]:
    made = Home(tmp_path / "home", installed, issuer=oidc.issuer)
    yield made
    made.launcher.stop()


@pytest.fixture
def machine(home: Home, oidc: OidcProvider) -> Home:
    """Return a home whose profile is a machine's: it needs nobody and nothing on disk."""
    home.configure(
        issuer=oidc.issuer, client_id=M2M_POST, flow="client-credentials", client_secret={"env": "MACHINE_SECRET"}
    )
    home.environ["MACHINE_SECRET"] = ODD_SECRET
    return home


def answered(result: Result | Report, face: Face) -> None:
    """Check that the newest token was answered, with exactly one warning."""
    stdout = result.text if isinstance(result, Result) else result.stdout
    assert result.code == 0, result.stderr
    assert stdout.strip() == face.issued()[-1].access_token
    warned_once(result.stderr)


def warned_once(stderr: str) -> None:
    assert "Traceback" not in stderr
    assert stderr.count(WARNING) == 1, stderr
    assert stderr.startswith("credential-helper: warning: "), stderr
    assert len(stderr.splitlines()) <= 2, stderr  # the warning, and how to mend it


# --- a state directory that cannot be used ----------------------------------------------------------------------------

READ_ONLY = 'mount --bind "$STATE" "$STATE"; mount -o remount,ro,bind "$STATE"'


def test_a_read_only_state_directory_costs_the_memory_and_not_the_answer(machine: Home, oidc: OidcProvider) -> None:
    machine.state.mkdir(parents=True, mode=0o700)
    answered(with_mounts(machine, READ_ONLY, "token", "prod"), oidc)
    assert list(walk(machine.state)) == []


def test_a_read_only_home_costs_the_memory_and_not_the_answer(machine: Home, oidc: OidcProvider) -> None:
    answered(
        with_mounts(machine, 'mount --bind "$HOME" "$HOME"; mount -o remount,ro,bind "$HOME"', "token", "prod"), oidc
    )
    assert not machine.state.exists()


def test_in_a_read_only_home_the_runtime_directory_remembers(machine: Home, oidc: OidcProvider, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    read_only = 'mount --bind "$HOME" "$HOME"; mount -o remount,ro,bind "$HOME"'
    for _ in range(2):
        report = with_mounts(machine, read_only, "token", "prod", environ={"XDG_RUNTIME_DIR": str(runtime)})
        assert (report.code, report.stderr) == (0, "")
        assert report.stdout.strip() == oidc.issued("client_credentials")[-1].access_token
    assert len(oidc.issued("client_credentials")) == 1
    assert not machine.state.exists()


def test_a_fresh_session_on_a_read_only_disk_is_answered(home: Home, oidc: OidcProvider) -> None:
    home.sign_in(oidc)
    report = with_mounts(home, READ_ONLY, "token", "prod")
    assert (report.code, report.stdout.strip()) == (0, oidc.issued("device_code")[-1].access_token)
    assert "Traceback" not in report.stderr


@pytest.mark.parametrize("command", ["token", "kubectl", "get"])
def test_a_read_only_disk_is_no_reason_to_spend_a_refresh_token(
    home: Home, oidc: OidcProvider, command: str, tmp_path: Path
) -> None:
    """Still valid: answered. Expired: an error, and the refresh token is there for better days."""
    home.sign_in(oidc)
    runtime = tmp_path / "runtime"  # another place would do, but that the sessions are here
    runtime.mkdir(mode=0o700)
    token = home.refresh_token()
    argv = (command, "prod") if command == "token" else (command,)
    for age, code in ((home.fade, 0), (home.expire, 74)):
        age()
        report = with_mounts(home, READ_ONLY, *argv, environ={"XDG_RUNTIME_DIR": str(runtime)})
        assert report.code in (code, 66 if code else 0), report.stderr
        assert (bool(report.stdout) and '"kind":"Status"' not in report.stdout) == (code == 0)
        assert "Traceback" not in report.stderr
        assert WARNING in report.stderr
    assert "refresh_token" not in oidc.counts()
    assert token is not None
    assert oidc.honoured(token)
    assert home.run("token", "prod", env=NOBODY).code == 0


# Where somebody still knows us the program must not run: it would write into a real home.
NO_USERS = (
    "for file in passwd nsswitch.conf; do test ! -e /etc/$file || mount --bind /dev/null /etc/$file; done; "
    """test "$(python3 -c 'import os; print(os.path.expanduser("~"))')" = "~" || exit 99"""
)


def test_no_home_at_all(machine: Home, oidc: OidcProvider) -> None:
    """Neither HOME nor the XDG folders are set, and the password database knows nobody."""
    config = str(machine.folder / ".config" / "credential-helper" / "config.toml")
    environ: dict[str, str | None] = {"HOME": None, "XDG_STATE_HOME": None, "XDG_CONFIG_HOME": None}
    environ["CREDENTIAL_HELPER_CONFIG"] = config
    report = with_mounts(machine, NO_USERS, "token", "prod", environ=environ)
    if report.code == 99:
        pytest.skip("this machine knows its users from elsewhere than /etc/passwd")
    answered(report, oidc)


@pytest.mark.parametrize("where", ["a file", "below a file", "/proc"])
def test_a_home_where_nothing_can_be_made(machine: Home, oidc: OidcProvider, where: str) -> None:
    file = machine.folder / "file"
    file.write_text("")
    place = {"a file": str(file), "below a file": f"{file}/deeper", "/proc": "/proc/nowhere"}[where]
    config = str(machine.folder / ".config" / "credential-helper" / "config.toml")
    bad = {"HOME": place, "XDG_STATE_HOME": None, "XDG_CONFIG_HOME": None, "CREDENTIAL_HELPER_CONFIG": config}
    elsewhere = machine.folder / "elsewhere"  # the config file is not in the working tree
    elsewhere.mkdir()
    answered(machine.run("token", "prod", env=bad, cwd=elsewhere), oidc)
    assert file.read_text() == ""


def test_a_home_that_is_not_there_yet_is_made(machine: Home) -> None:
    config = str(machine.folder / ".config" / "credential-helper" / "config.toml")
    later = machine.folder / "later"
    env = {"HOME": str(later), "XDG_STATE_HOME": None, "XDG_CONFIG_HOME": None, "CREDENTIAL_HELPER_CONFIG": config}
    result = machine.run("token", "prod", env=env, cwd=machine.folder)
    assert (result.code, result.stderr) == (0, "")
    assert (later / ".local/state/credential-helper").stat().st_mode & 0o777 == 0o700


def test_status_login_and_logout_bear_a_home_where_nothing_can_be_made(machine: Home) -> None:
    bad: dict[str, str | None] = {"CREDENTIAL_HELPER_STATE_DIR": "/proc/nowhere"}
    for argv in (
        ("status",),
        ("status", "--json", "--verbose"),
        ("login", "prod"),
        ("refresh", "prod"),
        ("logout", "prod"),
    ):
        result = machine.run(*argv, env=bad)
        assert result.code in (0, 66, 74), (argv, result.stderr)
        assert "Traceback" not in result.stderr
        assert "a defect of ours" not in result.stderr


# --- a full disk ------------------------------------------------------------------------------------------------------

# A disk of its own for the state directory, of so many KiB, with a copy of the session on it; then filled.
SMALL = (
    'cp -a "$STATE" /tmp/copy.$$; mount -t tmpfs -o size={size}k,mode=700 none "$STATE"; '
    'cp -a /tmp/copy.$$/. "$STATE"; rm -r /tmp/copy.$$; rm -rf "$STATE"/replies/*'
)
FILL = 'cat /dev/zero >"$STATE/filler" 2>/dev/null || true'


def bring_back(home: Home) -> str:
    """Return the shell that makes the small disk's content the home's, but for what filled it."""
    kept = home.folder / "kept"
    return f'rm -f "$STATE/filler"; cp -a "$STATE" {kept}; umount "$STATE"; rm -rf "$STATE"; mv {kept} "$STATE"'


def test_a_disk_full_before_the_request_keeps_the_refresh_token(home: Home, oidc: OidcProvider) -> None:
    home.sign_in(oidc)
    token, access = home.refresh_token(), oidc.issued()[-1].access_token
    full = f"{SMALL.format(size=256)}; {FILL}"
    home.fade()
    report = with_mounts(home, full, "token", "prod", after=bring_back(home))
    assert (report.code, report.stdout.strip()) == (0, access), report.stderr
    warned_once(report.stderr)
    home.expire()
    report = with_mounts(home, full, "token", "prod", after=bring_back(home))
    assert (report.code, report.stdout) in [(66, ""), (74, "")]
    assert "Traceback" not in report.stderr
    assert "refresh_token" not in oidc.counts()
    assert token is not None
    assert home.refresh_token() == token
    assert oidc.honoured(token)
    assert home.run("token", "prod", env=NOBODY).code == 0


def test_a_machine_on_a_full_disk_is_answered(machine: Home, oidc: OidcProvider) -> None:
    assert machine.run("token", "prod").code == 0
    machine.expire()
    answered(with_mounts(machine, f"{SMALL.format(size=128)}; {FILL}", "token", "prod"), oidc)


def test_a_sign_in_on_a_full_disk_is_answered(home: Home, oidc: OidcProvider) -> None:
    """The person has been asked already: the answer is worth more than its memory."""
    words = ["/bin/bash", "-c", 'ulimit -f 0; exec "$@"', "bash", str(home.run.executable), "token", "prod"]
    running = home.launcher.start(words, env=PERSON)
    oidc.approve(running.wait_for(PROMPT)[1])
    result = running.finish()
    assert (result.code, result.text.strip()) == (0, oidc.issued()[-1].access_token)
    assert result.stderr.count(WARNING) == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("limit", [0, 1, 8, 24])
def test_a_file_size_limit_is_a_full_disk(home: Home, oidc: OidcProvider, limit: int) -> None:
    """RLIMIT_FSIZE in KiB; at 24 a session fits and the room for its growth does too."""
    home.sign_in(oidc)
    home.expire()
    token = home.refresh_token()
    words = ["/bin/bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", str(home.run.executable), "token", "prod"]
    result = home.launcher.run(words, env=NOBODY)
    assert "Traceback" not in result.stderr
    if limit == 24:
        assert result.code == 0
        return
    assert result.code in (66, 74)
    assert home.refresh_token() == token
    assert "refresh_token" not in oidc.counts()
    assert home.run("token", "prod", env=NOBODY).code == 0


def test_a_disk_full_after_the_request_answers_and_says_so(tmp_path: Path, installed: Path) -> None:
    """The answer is larger than anything that could be set aside for it."""
    with HostileProvider() as provider:
        provider.serve_metadata()
        big = "b" * 200_000
        provider.script("/token", answer({"access_token": "small", "token_type": "Bearer", "expires_in": 3600}))
        home = Home(
            tmp_path / "home",
            installed,
            issuer=provider.issuer,
            flow="client-credentials",
            client_secret={"env": "MACHINE_SECRET"},
        )
        home.environ["MACHINE_SECRET"] = "s3cret"
        assert home.run("token", "prod").code == 0
        home.expire()
        before = home.session()
        provider.script("/token", answer({"access_token": big, "token_type": "Bearer", "expires_in": 3600}))
        report = with_mounts(home, SMALL.format(size=128), "token", "prod", after=bring_back(home))
        assert (report.code, report.stdout.strip()) == (0, big)
        warned_once(report.stderr)
        assert home.session() == before  # whole, and not half of what came
        assert home.leftovers() == []
        home.launcher.stop()


def test_a_refresh_on_a_disk_that_fills_up_after_the_request_is_answered(tmp_path: Path, installed: Path) -> None:
    with HostileProvider() as provider:
        provider.serve_metadata()
        home = Home(tmp_path / "home", installed, issuer=provider.issuer, scope="offline_access")
        fields = {"token_type": "Bearer", "expires_in": 3600}
        provider.script("/token", answer({"access_token": "a1", "refresh_token": "r1", **fields}))
        provider.script(
            "/device/code",
            answer(
                {
                    "device_code": "d",
                    "user_code": "U",
                    "verification_uri": f"{provider.url}/d",
                    "expires_in": 60,
                    "interval": 1,
                }
            ),
        )
        assert home.run("login", "prod", env=PERSON).code == 0
        home.expire()
        big = "b" * 200_000
        provider.script("/token", answer({"access_token": big, "refresh_token": "r2", **fields}))
        report = with_mounts(home, SMALL.format(size=128), "token", "prod", after=bring_back(home))
        assert (report.code, report.stdout.strip()) == (0, big)
        warned_once(report.stderr)
        assert home.refresh_token() == "r2"  # it is saved first, and there was room for it
        assert home.session()["access"]["value"] == "a1"  # whole, and not half of what came
        assert home.leftovers() == []
        home.launcher.stop()


def test_an_answer_that_stdout_does_not_take_is_an_error(machine: Home) -> None:
    """Both the slow path and a reply from the disk."""
    for _ in range(2):
        words = ["/bin/sh", "-c", 'exec "$@" >/dev/full', "sh", str(machine.run.executable), "token", "prod"]
        result = machine.launcher.run(words)
        assert result.code == 74
        assert "Traceback" not in result.stderr
        assert "stdout" in result.stderr
        assert machine.run("token", "prod").code == 0


# --- an unsafe state directory ----------------------------------------------------------------------------------------


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def group_writable(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o020)


def somebody_elses(path: Path) -> None:
    if os.geteuid() != 0:
        missing("root, to give a folder away")
    os.chown(path, 54321, 54321)


@pytest.mark.parametrize("spoil", [linked, group_writable, somebody_elses], ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("what", ["state", "grants", "grant", "sessions", "session"])
def test_an_unsafe_place_is_neither_read_nor_written(
    machine: Home, oidc: OidcProvider, spoil: Callable[[Path], None], what: str
) -> None:
    assert machine.run("token", "prod").code == 0
    shutil.rmtree(machine.state / "replies")
    files = {"grant": machine.grant_file(), "session": machine.session_file()}
    path = {"state": machine.state, "grants": machine.grants, "sessions": machine.sessions, **files}[what]
    spoil(path)
    shutil.rmtree(machine.state / "flights")  # who waits for whom, which is no part of anybody's session
    before = machine.files()
    for count in (2, 3):  # no reply is kept either
        answered(machine.run("token", "prod"), oidc)
        assert len(oidc.issued()) == count
    shutil.rmtree(machine.state / "flights", ignore_errors=True)
    assert machine.files() == before


def test_a_place_that_is_only_too_open_to_read_is_closed(machine: Home, oidc: OidcProvider) -> None:
    assert machine.run("token", "prod").code == 0
    machine.state.chmod(0o755)
    files = [machine.grant_file(), machine.session_file()]
    for file in files:
        file.chmod(0o644)
    result = machine.run("token", "prod")
    assert (result.code, result.stderr) == (0, "")
    assert machine.state.stat().st_mode & 0o777 == 0o700
    machine.expire()
    assert machine.run("token", "prod").code == 0
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert len(oidc.issued()) == 2


def test_a_parent_may_be_a_symlink(machine: Home) -> None:
    (machine.folder / "disk").mkdir()
    (machine.folder / ".local").symlink_to(machine.folder / "disk")
    result = machine.run("token", "prod")
    assert (result.code, result.stderr) == (0, "")
    assert machine.session()["access"]


# --- damaged and strange files ----------------------------------------------------------------------------------------


def test_a_grant_cut_short_at_any_length_is_absent(home: Home, oidc: OidcProvider) -> None:
    home.sign_in(oidc)
    file = home.grant_file()
    whole = file.read_bytes()
    notes: list[str] = []
    sessions = Sessions(State(str(home.state)), NoKeyring(), note=notes.append)
    place = Place(file.stem, home.session_file().stem)
    assert sessions.read(place) is not None
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert sessions.read(place) is None, length
    assert len(notes) == len(whole)
    for length in [0, 1, len(whole) // 3, len(whole) - 2, len(whole) - 1]:
        file.write_bytes(whole[:length])
        result = home.run("token", "prod", env=NOBODY)
        assert (result.code, result.stdout) == (66, b"")
        assert "Traceback" not in result.stderr
        status = home.run("status", "--verbose")
        assert status.code == 66
        assert "damaged" in status.stderr, status.stderr
        assert "Traceback" not in status.stderr
    file.write_bytes(whole)
    assert home.run("token", "prod", env=NOBODY).code == 0


def test_a_session_cut_short_at_any_length_is_absent_and_had_again(home: Home, oidc: OidcProvider) -> None:
    """Its grant is there, so nobody signs in for it."""
    home.sign_in(oidc)
    file = home.session_file()
    whole = file.read_bytes()
    notes: list[str] = []
    sessions = Sessions(State(str(home.state)), NoKeyring(), note=notes.append)
    place = Place(home.grant_file().stem, file.stem)
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        stored = sessions.read(place)
        assert stored is not None
        assert (stored.session.access, stored.session.id, stored.session.refreshable) == (None, None, True), length
    assert len(notes) == len(whole)
    for count, length in enumerate([0, 1, len(whole) // 3, len(whole) - 2, len(whole) - 1], 1):
        file.write_bytes(whole[:length])
        status = home.run("status", "--verbose")
        assert "damaged" in status.stderr, status.stderr
        assert "Traceback" not in status.stderr
        result = home.run("token", "prod", env=NOBODY)
        assert (result.code, result.stderr) == (0, "")
        assert result.text.strip() == oidc.issued("refresh_token")[-1].access_token
        assert len(oidc.issued("refresh_token")) == count


class NoKeyring:
    """A keyring for a grant that has nothing there."""

    def usable(self, store: str) -> bool:
        raise AssertionError(store)

    def read(self, name: str, username: str) -> Secret | None:
        raise AssertionError(name, username)

    def write(self, name: str, username: str, secret: Secret) -> None:
        raise AssertionError(name, username, secret)

    def delete(self, name: str, username: str) -> None:
        raise AssertionError(name, username)


@pytest.mark.parametrize(
    "content",
    [
        b"null",
        b"[]",
        b"\xff\xfe{\x00}\x00",
        b'{"version": 2}',
        b"\x00" * 5000,
        b"[" * 100_000,
        b'{"version":1,"id":"%s","session":{"access":7}}' % (b"0" * 64),
        b'{"version":2,"id":"%s","grant":7,"session":{"access":7}}' % (b"0" * 64),
    ],
    ids=["null", "list", "utf-16", "version-2", "zeros", "deep", "format-1", "odd"],
)
@pytest.mark.parametrize("what", ["grant", "session", "failure", "prompt"])
def test_strange_files_are_absent(machine: Home, oidc: OidcProvider, content: bytes, what: str) -> None:
    assert machine.run("token", "prod").code == 0
    machine.expire()
    files = {"grant": machine.grant_file(), "session": machine.session_file()}
    strange = files[what] if what in files else files["grant"].with_suffix(f".{what}")
    strange.write_bytes(content)
    strange.chmod(0o600)
    result = machine.run("token", "prod")
    assert (result.code, result.stderr) == (0, "")
    assert result.text.strip() == oidc.issued()[-1].access_token


@pytest.mark.parametrize("what", [Home.grant_file, Home.session_file], ids=lambda what: what.__name__)
def test_a_file_of_another_name_is_absent(machine: Home, oidc: OidcProvider, what: Callable[[Home], Path]) -> None:
    """A file that was copied or renamed is not that grant, or that session."""
    assert machine.run("token", "prod").code == 0
    file = what(machine)
    document = json.loads(file.read_bytes())
    document["id"] = "0" * 64
    file.write_text(json.dumps(document))
    shutil.rmtree(machine.state / "replies")  # a reply stands on the session's file alone
    assert machine.run("token", "prod").code == 0
    assert len(oidc.issued()) == 2


def test_a_reply_cut_short_is_not_replayed(machine: Home, oidc: OidcProvider) -> None:
    whole = [machine.run("token", "prod").stdout for _ in range(2)][-1]
    (reply,) = walk(machine.state / "replies")
    content = reply.read_bytes()
    for length in [0, 1, len(content) // 2, len(content) - 2, len(content) - 1]:
        reply.write_bytes(content[:length])
        result = machine.run("token", "prod")
        assert (result.code, result.stdout, result.stderr) == (0, whole, ""), length
        assert len(oidc.issued()) == 1


def test_a_session_from_the_future_is_not_trusted(home: Home, oidc: OidcProvider) -> None:
    """The clock was wrong when it was received, or is wrong now: its lifetime means nothing."""
    home.sign_in(oidc)
    home.age(received=-86_400, expires=90_000)
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.stderr) == (0, "")
    assert result.text.strip() == oidc.issued("refresh_token")[-1].access_token
    assert home.session()["access"]["received_at"] <= time.time()


def test_a_refusal_and_a_prompt_from_the_future_mean_nothing(machine: Home, oidc: OidcProvider) -> None:
    oidc.fail_next("client_credentials", status=401, body={"error": "invalid_client"}, times=2)
    assert machine.run("token", "prod").code == 77
    (file,) = machine.grants.glob("*.failure")
    asked = oidc.counts()["client_credentials"]
    assert machine.run("token", "prod").code == 77
    assert oidc.counts()["client_credentials"] == asked, "the refusal was not remembered"
    (failure,) = json.loads(file.read_bytes())
    failure |= {"made": failure["made"] + 7200, "until": failure["until"] + 7200}
    file.write_text(json.dumps([failure]))
    oidc.clear_faults()
    assert machine.run("token", "prod").code == 0


def test_a_provider_whose_clock_is_ahead_or_behind_is_served(home: Home, oidc: OidcProvider) -> None:
    for offset in (-7200, 7200):
        oidc.configure(date_offset=offset)
        home.sign_in(oidc)
        result = home.run("kubectl", env=NOBODY)
        assert result.code == 0, result.stderr
        assert json.loads(result.stdout)["status"]["token"] == oidc.issued("device_code")[-1].id_token


# --- logout while something else happens ------------------------------------------------------------------------------


def test_a_logout_during_a_refresh_leaves_nobody_signed_in(home: Home, oidc: OidcProvider) -> None:
    home.sign_in(oidc)
    home.expire()
    oidc.fail_next("refresh_token", delay=1.5)
    refreshing = home.run.start("token", "prod", env=NOBODY)
    wait_until(lambda: oidc.counts().get("refresh_token") == 1)
    logout = home.run("logout", "prod")
    assert logout.code == 0, logout.stderr
    assert refreshing.finish().code in (0, 66)
    assert home.is_signed_out()
    assert list((home.state / "replies").glob("*")) == []
    assert oidc.refresh_tokens() == []
    assert oidc.counts()["refresh_token"] == 1
    result = home.run("token", "prod", env=NOBODY)
    assert (result.code, result.stdout) == (66, b"")


def test_a_logout_cancels_a_sign_in_that_waits_for_a_person(home: Home, oidc: OidcProvider) -> None:
    waiting = home.run.start("login", "prod", env=PERSON)
    code = waiting.wait_for(PROMPT)[1]
    logout = home.run("logout", "prod")
    assert logout.code == 0, logout.stderr
    result = waiting.finish()
    assert (result.code, result.stdout) == (77, b""), result.stderr
    assert "logout" in result.stderr
    oidc.approve(code)
    time.sleep(0.2)
    assert oidc.issued("device_code") == []
    assert home.is_signed_out()
    assert home.run("token", "prod", env=NOBODY).code == 66


def test_a_logout_during_the_last_poll_gives_back_what_it_brings(home: Home, oidc: OidcProvider) -> None:
    oidc.fail_next("device_code", delay=5.0)
    waiting = home.run.start("login", "prod", env=PERSON)
    oidc.approve(waiting.wait_for(PROMPT)[1])
    wait_until(lambda: oidc.counts().get("device_code") == 1)
    logout = home.run("logout", "prod")
    assert logout.code == 0, logout.stderr
    assert waiting.finish().code == 77
    assert len(oidc.issued("device_code")) == 1
    assert oidc.refresh_tokens() == []
    assert home.is_signed_out()


def wait_until(true: Callable[[], bool], timeout: float = DEADLINE) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
