"""A person at a provider's own pages: forms and links, as a browser without JavaScript sees them.

visitor = Visitor()
visitor.open(verification_uri_complete)
visitor.submit(username="ada", password="…")
visitor.submit(press="accept")
"""

from __future__ import annotations

from html.parser import HTMLParser
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

import msgspec

PATIENCE = 60.0  # seconds a page; Java compiles the first one of each kind


class PageError(Exception):
    """A page has not what a person was to press."""


class Form(msgspec.Struct):
    """A form as it came: its fields filled in, its buttons by name."""

    action: str
    method: str
    fields: dict[str, str] = {}  # hidden, text, password; a checkbox that is ticked
    buttons: list[tuple[str, str]] = []  # names and values


class _Forms(HTMLParser):
    """Collects every form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._inside = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        name, kind = found.get("name", ""), found.get("type", "submit" if tag == "button" else "text").lower()
        if tag == "form":
            self.forms.append(Form(found.get("action", ""), found.get("method", "get").lower()))
            self._inside = True
        elif not self._inside or tag not in ("input", "button"):
            return
        elif kind in ("submit", "button"):
            self.forms[-1].buttons.append((name, found.get("value", "")))
        elif name and (kind not in ("checkbox", "radio") or "checked" in found):
            self.forms[-1].fields[name] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class Visitor:
    """One browser: cookies, the page in front, and nothing else. It follows redirects, to loopback addresses too."""

    def __init__(self) -> None:
        # Every browser trusts loopback as it trusts https, and Keycloak counts on that: its cookies are Secure.
        jar = CookieJar(DefaultCookiePolicy(secure_protocols=("http", "https")))
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(jar))
        self.url, self.status, self.text = "", 0, ""

    def open(self, url: str, fields: dict[str, str] | None = None) -> None:
        """Go to an address, or send it a form."""
        try:
            answer = self._opener.open(url, urlencode(fields).encode() if fields else None, timeout=PATIENCE)
        except HTTPError as error:  # a page like any other
            answer = error
        with answer:
            self.url, self.status, self.text = answer.url, answer.status, answer.read().decode()

    @property
    def forms(self) -> list[Form]:
        """Return the forms of the page in front."""
        parser = _Forms()
        parser.feed(self.text)
        return parser.forms

    def submit(self, *, press: str = "", value: str | None = None, **typed: str) -> None:
        """Fill in the form that has all these fields, press a button (by its name, or name and value), and go on."""
        for form in self.forms:
            pressed = [(name, what) for name, what in form.buttons if name == press and value in (None, what)]
            if typed.keys() <= form.fields.keys() and (pressed or not press):
                self._send(form, form.fields | typed | dict(pressed[:1]))
                return
        raise PageError(f"no form with {[*typed, press, value]} at {self.url}: {self.status} {self.forms}")

    def _send(self, form: Form, fields: dict[str, str]) -> None:
        address = urljoin(self.url, form.action)
        if form.method == "post":
            self.open(address, fields)
        else:
            self.open(f"{address}?{urlencode(fields)}")
