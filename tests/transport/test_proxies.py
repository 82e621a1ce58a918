"""Which proxy an environment means; the tables were played through Go's own httpproxy (Go 1.26), which agrees."""

from __future__ import annotations

import pytest

from credential_helper import urls
from credential_helper.errors import TransportError
from credential_helper.transport.proxies import parse, proxy_for

PROXY = "http://proxy.test:3128"


def goes(url: str, **environ: str) -> str | None:
    """Return the proxy that an address is reached through."""
    proxy = proxy_for(urls.parse_url(url), environ)
    return None if proxy is None else proxy.url


# --- which variable ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "through"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "http://other.test:1"}, PROXY),
        ({"HTTPS_PROXY": "", "https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": "", "https_proxy": ""}, None),
        ({"HTTP_PROXY": PROXY, "http_proxy": PROXY}, None),
        ({"ALL_PROXY": PROXY, "all_proxy": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "REQUEST_METHOD": "GET"}, PROXY),
        ({"Https_Proxy": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "corp.test", "no_proxy": "other.test"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "other.test", "no_proxy": "corp.test"}, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "", "no_proxy": "corp.test"}, None),
    ],
)
def test_which_variable_counts(environ: dict[str, str], through: str | None) -> None:
    assert goes("https://idp.corp.test/", **environ) == through


# --- NO_PROXY ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "without", "through"),
    [
        ("*", ["a.test", "10.1.2.3", "[2001:db8::1]"], []),
        ("corp.test", ["corp.test", "a.corp.test", "b.a.corp.test", "corp.test:8443"], ["xcorp.test", "corp.test.x"]),
        (".corp.test", ["a.corp.test", "b.a.corp.test"], ["corp.test"]),
        ("*.corp.test", ["a.corp.test", "b.a.corp.test", "a.corp.test:8443"], ["corp.test", "a.corp.testx"]),
        ("CORP.Test", ["a.corp.test"], []),
        (" \tcorp.test ", ["a.corp.test"], []),
        ("x.test,, corp.test ,y.test", ["a.corp.test"], ["z.test"]),
        ("x.test, *", ["a.corp.test"], []),
        ("corp.test:443", ["corp.test", "a.corp.test"], ["a.corp.test:8443"]),
        ("corp.test:8443", ["a.corp.test:8443"], ["a.corp.test"]),
        ("*.corp.test:443", ["a.corp.test"], ["corp.test", "a.corp.test:8443"]),
        ("10.1.2.3", ["10.1.2.3", "10.1.2.3:8443", "[::ffff:10.1.2.3]"], ["10.1.2.4", "a.10.1.2.3.test"]),
        ("10.1.2.3:8443", ["10.1.2.3:8443"], ["10.1.2.3"]),
        ("10.0.0.0/8", ["10.1.2.3", "10.255.0.1:8443"], ["11.0.0.1", "[2001:db8::1]", "ten.test"]),
        ("10.9.9.9/8", ["10.1.2.3"], []),
        ("0.0.0.0/0", ["10.1.2.3"], ["[2001:db8::1]", "a.test"]),
        ("::/0", ["[2001:db8::1]"], ["10.1.2.3", "a.test"]),
        ("2001:db8::/32", ["[2001:db8:1::9]"], ["[2001:db9::1]"]),
        ("2001:db8::1", ["[2001:db8::1]", "[2001:db8:0::1]:8443"], ["[2001:db8::2]"]),
        ("[2001:db8::1]:443", ["[2001:db8::1]"], ["[2001:db8::1]:8443"]),
        # What Go takes for nothing at all.
        ("[2001:db8::1]", [], ["[2001:db8::1]"]),
        ("corp.test x.test", [], ["corp.test", "x.test"]),
        ("*corp.test", [], ["corp.test", "a.corp.test", "xcorp.test"]),
        ("a.*.test", [], ["a.corp.test"]),
        ("https://corp.test", [], ["corp.test"]),
        ("corp.test/", [], ["corp.test"]),
        ("corp.test.", [], ["corp.test"]),
        (":443", [], ["corp.test"]),
        (".", [], ["corp.test"]),
        ("10.1.2", [], ["10.1.2.3"]),
        ("10.01.2.3", [], ["10.1.2.3"]),
        ("10.0.0.0/33", [], ["10.1.2.3"]),
        ("10.1.2.3/8:443", [], ["10.1.2.3"]),
        ("<local>", [], ["a"]),
    ],
)
def test_no_proxy(entry: str, without: list[str], through: list[str]) -> None:
    for host in without:
        assert goes(f"https://{host}/", HTTPS_PROXY=PROXY, NO_PROXY=entry) is None, host
    for host in through:
        assert goes(f"https://{host}/", HTTPS_PROXY=PROXY, NO_PROXY=entry) == PROXY, host


def test_a_name_that_is_not_ascii_is_compared_in_its_ascii_form() -> None:
    assert goes("https://a.xn--bcher-kva.test/", HTTPS_PROXY=PROXY, NO_PROXY="bücher.test") is None
    assert goes("https://a.xn--bcher-kva.test/", HTTPS_PROXY=PROXY, NO_PROXY="*.BÜCHER.test") is None


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "localhost:8443"]
)
def test_this_machine_is_never_reached_through_a_proxy(host: str) -> None:
    assert goes(f"https://{host}/", HTTPS_PROXY=PROXY) is None


@pytest.mark.parametrize("host", ["x.localhost", "localhost.test", "0.0.0.0", "[::]", "128.0.0.1", "[::2]"])
def test_what_only_looks_like_this_machine_is(host: str) -> None:
    assert goes(f"https://{host}/", HTTPS_PROXY=PROXY) == PROXY


# --- the proxy's address ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url", "login"),
    [
        ("http://p:3128", "http://p:3128", None),
        ("p:3128", "http://p:3128", None),
        ("p", "http://p:80", None),
        ("https://p", "https://p:443", None),
        ("socks5://p", "socks5://p:1080", None),
        ("socks5h://127.0.0.1:1080", "socks5h://127.0.0.1:1080", None),
        ("HTTP://P.Test:1/path?query#fragment", "http://P.Test:1", None),
        ("  http://p:1\n", "http://p:1", None),
        ("localhost:3128", "http://localhost:3128", None),
        ("docker_proxy:3128", "http://docker_proxy:3128", None),
        ("http://p:", "http://p:80", None),
        ("http://[::1]:3128", "http://[::1]:3128", None),
        ("[::1]", "http://[::1]:80", None),
        ("http://[fe80::1%25eth0]:1", "http://[fe80::1%eth0]:1", None),
        ("http://bücher.test:1", "http://xn--bcher-kva.test:1", None),
        ("http://ada:secret@p:1", "http://p:1", (b"ada", b"secret")),
        ("ada:secret@p:1", "http://p:1", (b"ada", b"secret")),
        ("http://ada@p:1", "http://p:1", (b"ada", b"")),
        ("http://:secret@p:1", "http://p:1", (b"", b"secret")),
        ("http://a%40b:c%3Ad%2F@p:1", "http://p:1", (b"a@b", b"c:d/")),
        ("http://ada:se@cret@p:1", "http://p:1", (b"ada", b"se@cret")),
        ("http://ada:%E2%82%AC@p:1", "http://p:1", (b"ada", "€".encode())),
        ("http://ada:%ff@p:1", "http://p:1", (b"ada", b"\xff")),
    ],
)
def test_the_address_of_a_proxy(text: str, url: str, login: tuple[bytes, bytes] | None) -> None:
    proxy = parse(text, "HTTPS_PROXY")
    assert (proxy.url, proxy.login) == (url, login)
    assert "secret" not in f"{proxy} {proxy!r}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://", "it has no host"),
        ("//p:1", "it has no host"),
        ("http://[bad", "its host has a character in it that a host cannot have"),
        ("http://[::1%eth0]:1", "its host has a character in it that a host cannot have"),
        ("http://hunter2 p:1", "its host has a character in it that a host cannot have"),
        ("http://p:0", "its port is no number of a port"),
        ("http://p:65536", "its port is no number of a port"),
        ("http://p:1²", "its port is no number of a port"),
        ("http://ada:hunter2#x@p:1", "a @ / ? or # in a password is written %40 %2F %3F %23"),
        ("http://ada:hunter2%@p:1", "a % in its user name or password is written %25"),
        ("http://ada:hunter2%zz@p:1", "a % in its user name or password is written %25"),
        ("socks4://p:1", "it is of another kind than http, https, socks5 and socks5h"),
        ("ftp://ada:hunter2@p:1", "it is of another kind than http, https, socks5 and socks5h"),
    ],
)
def test_what_is_no_proxy_is_an_error_that_does_not_repeat_it(text: str, said: str) -> None:
    with pytest.raises(TransportError) as caught:
        goes("https://idp.corp.test/", https_proxy=text)
    assert caught.value.sentence.startswith("idp.corp.test cannot be reached: https_proxy names no proxy (")
    assert said in caught.value.sentence
    assert (
        caught.value.hint
        == "https_proxy=http://HOST:PORT, or https://, or socks5h://; unset it where there is no proxy"
    )
    assert "hunter2" not in f"{caught.value.sentence} {caught.value!r}"


def test_a_proxy_that_is_not_needed_is_not_judged() -> None:
    assert goes("https://idp.corp.test/", HTTPS_PROXY="http://[bad", NO_PROXY="corp.test") is None
    assert goes("https://localhost/", HTTPS_PROXY="http://[bad") is None
