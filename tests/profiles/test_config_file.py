from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from credential_helper import places
from credential_helper.errors import ConfigurationError
from credential_helper.profiles import config_file


def write(path: Path, content: str | bytes, mode: int = 0o600) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return str(path)


def found(path: str) -> config_file.Found:
    file = config_file.read("user", path, {})
    assert file is not None
    return file


def refused(path: str, environ: Mapping[str, str] | None = None) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        config_file.read("user", path, environ or {})
    return caught.value


# --- which file may be read


def test_an_absent_file_is_no_mistake(tmp_path: Path) -> None:
    assert config_file.read("user", str(tmp_path / "config.toml"), {}) is None
    (tmp_path / "file").write_text("")
    assert config_file.read("system", str(tmp_path / "file" / "config.toml"), {}) is None


def test_an_absent_file_that_the_variable_names_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config_file.read("named", str(tmp_path / "config.toml"), {})
    assert caught.value.sentence == (
        f"{tmp_path}/config.toml: there is no such file, and CREDENTIAL_HELPER_CONFIG names it"
    )


def test_the_stamp_is_that_of_the_descriptor(tmp_path: Path) -> None:
    path = write(tmp_path / "config.toml", "a = 1")
    one = found(path)
    assert (one.document, one.text) == ({"a": 1}, "a = 1")
    assert one.file.stamp == places.stamp(os.stat(path))


@pytest.mark.skipif(places.WINDOWS, reason="owner and mode are not judged")
@pytest.mark.parametrize("mode", [0o602, 0o666, 0o646])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    error = refused(write(tmp_path / "config.toml", "", mode))
    assert error.sentence == f"{tmp_path}/config.toml: others may write to it"
    assert error.hint == f"chmod go-w {tmp_path}/config.toml"


@pytest.mark.skipif(places.WINDOWS, reason="owner and mode are not judged")
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o444, 0o755])
def test_a_file_that_others_may_read_is_fine(tmp_path: Path, mode: int) -> None:
    assert found(write(tmp_path / "config.toml", "", mode)).document == {}


@pytest.mark.skipif(places.WINDOWS or os.geteuid() != 0, reason="needs root to give a file to a group")
@pytest.mark.parametrize("mode", [0o620, 0o664])
def test_a_file_that_a_group_of_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path / "config.toml", "", mode)
    os.chown(path, -1, 12345)  # of which nobody knows who is in it
    assert refused(path).sentence == f"{path}: others may write to it"


@pytest.mark.skipif(places.WINDOWS or os.geteuid() != 0, reason="needs root to give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "config.toml", "")
    os.chown(path, 12345, -1)
    assert refused(path).sentence == f"{path}: belongs to somebody else"
    error = refused(path, {"SUDO_UID": "1000"})
    assert not isinstance(error, config_file.PassedOver)


@pytest.mark.skipif(places.WINDOWS or os.geteuid() != 0, reason="needs root to give a file away")
def test_the_file_of_the_person_behind_sudo_is_passed_over(tmp_path: Path) -> None:
    """What it names would be read, and run, as root."""
    path = write(tmp_path / "config.toml", "")
    os.chown(path, 12345, -1)
    error = refused(path, {"SUDO_UID": "12345"})
    assert isinstance(error, config_file.PassedOver)
    assert error.sentence == f"{path}: is passed over, as it belongs to the person behind sudo"


@pytest.mark.skipif(places.WINDOWS, reason="owner and mode are not judged")
def test_a_file_of_root_is_fine_for_everybody() -> None:
    path = "/etc/passwd"  # root's, readable by all, and no TOML
    if os.geteuid() == 0:
        os.seteuid(12345)
        try:
            error = refused(path)
        finally:
            os.seteuid(0)
    else:
        error = refused(path)
    assert error.sentence.startswith(f"{path}: line 1: ")


@pytest.mark.skipif(places.WINDOWS, reason="symlinks")
def test_a_symlink_is_followed_and_its_target_judged(tmp_path: Path) -> None:
    target = write(tmp_path / "dotfiles.toml", "a = 1")
    (tmp_path / "config.toml").symlink_to(target)
    assert found(str(tmp_path / "config.toml")).document == {"a": 1}
    os.chmod(target, 0o666)
    assert "others may write" in refused(str(tmp_path / "config.toml")).sentence


@pytest.mark.skipif(places.WINDOWS, reason="FIFOs")
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert refused(str(tmp_path / "fifo")).sentence == f"{tmp_path}/fifo: is not a regular file"
    assert refused(str(tmp_path)).sentence == f"{tmp_path}: is not a regular file"
    assert refused("/dev/zero").sentence == "/dev/zero: is not a regular file"


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "config.toml", b"#" * (config_file.LIMIT + 1))
    assert refused(path).sentence == f"{path}: is larger than 1024 KiB"


def test_a_relative_path_is_refused() -> None:
    assert refused("config.toml").sentence == "CREDENTIAL_HELPER_CONFIG: expected an absolute path or ~/…"


# --- what may stand in it


def test_a_bom_is_accepted(tmp_path: Path) -> None:
    assert found(write(tmp_path / "config.toml", b"\xef\xbb\xbfa = 1\r\n")).document == {"a": 1}


SINGLE_QUOTES = r"in double quotes a backslash begins an escape; write paths in single quotes: 'C:\corp\ca.pem'"
TWICE = "give each profile a name of its own, or put all its keys below one"
TOML = "TOML writes key = value, and [profiles.NAME] above a profile's keys"
KEY_VALUE = "TOML writes key = value, and [profiles.NAME] above a profile's keys"


@pytest.mark.parametrize(
    ("content", "sentence", "hint"),
    [
        ("a = 1\n".encode("utf-16"), "found UTF-16, expected UTF-8", "save it as UTF-8"),
        ("a = 1\n".encode("utf-16-le"), "found UTF-16, expected UTF-8", "save it as UTF-8"),
        ("a = 1\n".encode("utf-16-be"), "found UTF-16, expected UTF-8", "save it as UTF-8"),
        (b"a = 1\nb = '\xe9'\n", "line 2: is not UTF-8", "save it as UTF-8"),
        ("issuer: x", "line 1: expected '=' after a key in a key/value pair", KEY_VALUE),
        ("profiles:\n  prod:\n", "line 1: expected '=' after a key in a key/value pair", KEY_VALUE),
        ("[profiles.prod]\nissuer: 'x'\n", "line 2: expected '=' after a key in a key/value pair", KEY_VALUE),
        ('x = 1\nca = "C:\\corp\\ca.pem"\n', "line 2: unescaped '\\' in a string", SINGLE_QUOTES),
        ('ca = "C:\\Users\\x"', "line 1: invalid hex value", SINGLE_QUOTES),
        ("issuer = https://x", "line 1: invalid value", 'a string stands in quotes: issuer = "https://…"'),
        ("[a]\n[a]\n", "line 2: [a] is written twice, first in line 1", TWICE),
        ("[a]\nb = 1\n\n[ a ]\n", "line 4: [ a ] is written twice", TWICE),
        ("a = { b = 1 }\n[a]\n", "line 2: [a] is written twice, first in line 1", "leave one of them"),
        ("[p.x]\ngit = []\n[p.x.git]\n", "line 3: [p.x.git] is written twice, first in line 2", "leave one of them"),
        ("issuer = \u201chttps://x\u201d", "line 1: curly quotes", 'write straight ones: issuer = "https://…"'),
        ('a = "x\nb = 1\n', "line 1: a string does not end", 'it ends on its line, with a quote: issuer = "https://…"'),
        ('a = "x', "line 1: a string does not end", 'it ends on its line, with a quote: issuer = "https://…"'),
        ('{"a": 1}', "line 1: invalid statement", TOML),
        ('a = "x" b = "y"', "line 1: more stands behind the value", "write one key per line, and # before a remark"),
        ("[[a]]\n[a]\n", "line 2: [a] is written twice", TWICE),
        ("a = 1\na = 2\n", "line 2: a is written twice", "leave one of them"),
        ("a = 1\n'a' = 2", "line 2: 'a' is written twice", "leave one of them"),
        ("a = { b = 1, b = 2 }\n", "line 1: a is written twice", "leave one of them"),
        ("a = { b = 1 }\na.c = 2\n", "line 2: a.c is written twice", "leave one of them"),
        ("a = 'x", 'line 1: expected "\'"', None),
        ("a", "line 1: expected '=' after a key in a key/value pair", None),
    ],
)
def test_what_is_no_toml_is_told_with_file_line_and_a_hint(
    tmp_path: Path, content: str | bytes, sentence: str, hint: str | None
) -> None:
    path = write(tmp_path / "config.toml", content)
    error = refused(path)
    assert error.sentence.startswith(f"{path}: {sentence}")
    assert error.hint == hint
    assert error.__cause__ is None


def test_a_syntax_error_shows_nothing_of_the_file(tmp_path: Path) -> None:
    error = refused(write(tmp_path / "config.toml", "client_secret = hunter2hunter2\n"))
    assert "hunter2" not in f"{error.sentence}{error.hint}{error!r}"


def test_deep_nesting_is_an_error_like_any_other(tmp_path: Path) -> None:
    assert "nested" in refused(write(tmp_path / "config.toml", "a = " + "[" * 5000)).sentence


@pytest.mark.parametrize("part", ["a", "a ", "a-b_1", '"a b"', "'a'"])
@pytest.mark.parametrize("form", ["{} = 1", "[{}]", "[[{}]]", "x = {{ {} = 1 }}"])
def test_a_key_of_100_000_parts_costs_no_time(tmp_path: Path, form: str, part: str) -> None:
    """It takes tomllib minutes."""
    deep = form.format(".".join([part] * 100_000))
    assert refused(write(tmp_path / "config.toml", deep)).sentence.endswith("is nested too deeply")


def test_a_name_of_many_parts_is_no_deep_key(tmp_path: Path) -> None:
    name = ".".join(["0"] * 34)
    assert found(write(tmp_path / "config.toml", f'x = ["{name}", "{name}"]\n{name} = 1')).document["x"] == [name] * 2


def test_a_number_too_long_for_python_is_told_as_what_it_is(tmp_path: Path) -> None:
    assert "limit" in refused(write(tmp_path / "config.toml", "a = " + "1" * 5000)).sentence
