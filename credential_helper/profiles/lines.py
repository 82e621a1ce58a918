"""On which line of a TOML file each key stands, for messages: tomllib does not say.

The document has been decoded before, so it is valid; what this scanner misreads costs a message its line number, and
nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Path = tuple[str | int, ...]

_TOKEN = (
    r'(?s)"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*'
    r'|[\[\]{}=,.\n]|[^\s\[\]{}=,.#"\']+'
)


class Lines:
    """The line numbers of one document, worked out when the first is asked for."""

    def __init__(self, document: str) -> None:
        self._document = document
        self._known: dict[Path, int] | None = None

    def of(self, path: Sequence[str | int]) -> int | None:
        """Return the line of a key, of an item of a list, or of the nearest that it stands in; None: not known."""
        if self._known is None:
            try:
                self._known = _Scan(self._document).known
            except RecursionError:  # lists in lists in lists
                self._known = {}
        whole = tuple(path)
        return next((self._known[whole[:end]] for end in range(len(whole), 0, -1) if whole[:end] in self._known), None)


class _Scan:
    """One walk over the tokens."""

    def __init__(self, document: str) -> None:
        self.known: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # the last index of each [[array of tables]]
        self._tokens = list(_tokens(document))
        self._at = 0
        table: Path = ()
        while self._at < len(self._tokens):
            token, _line = self._tokens[self._at]
            if token == "[":
                table = self._header()
            elif token == "\n":
                self._at += 1
            else:
                self._statement(table)
                self._skip_to("\n")

    def _header(self) -> Path:
        line = self._tokens[self._at][1]
        array = self._peek(1) == "["
        self._at += 2 if array else 1
        path = self._key()
        self._skip_to("\n")
        if array:
            index = self._counts[path] = self._counts.get(path, -1) + 1
            self.known.setdefault(path, line)
            path = (*path, index)
        for end in range(1, len(path) + 1):
            self.known.setdefault(path[:end], line)
        return path

    def _statement(self, table: Path) -> None:
        line = self._tokens[self._at][1]
        path = table
        for part in self._key():
            path = (*path, part)
            self.known.setdefault(path, line)
        if self._peek() == "=":
            self._at += 1
            self._value(path)
        elif path == table:
            self._at += 1  # nothing that a statement begins with

    def _key(self) -> Path:
        parts: list[str] = []
        while (token := self._peek()) not in ("", "=", "]", "\n", "[", "{", "}", ","):
            if token != ".":
                parts.append(token[1:-1] if token[0] in "\"'" else token)
            self._at += 1
        return tuple(parts)

    def _value(self, path: Path) -> None:
        opening = self._peek()
        self._at += 1
        if opening == "[":
            self._list(path)
        elif opening == "{":
            while self._skip_newlines() not in ("", "}"):
                self._statement(path)
                self._skip_newlines()
                self._at += self._peek() == ","
            self._at += 1
        else:
            while self._peek() not in ("", ",", "]", "}", "\n"):  # 1979-05-27 07:32:00, 3.14
                self._at += 1

    def _list(self, path: Path) -> None:
        index = 0
        while self._skip_newlines() not in ("", "]"):
            self.known.setdefault((*path, index), self._tokens[self._at][1])
            self._value((*path, index))
            self._skip_newlines()
            self._at += self._peek() == ","
            index += 1
        self._at += 1

    def _peek(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead][0] if self._at + ahead < len(self._tokens) else ""

    def _skip_newlines(self) -> str:
        while self._peek() == "\n":
            self._at += 1
        return self._peek()

    def _skip_to(self, end: str) -> None:
        while self._peek() not in ("", end):
            self._at += 1


def _tokens(document: str) -> Iterator[tuple[str, int]]:
    """Yield every token but comments and blanks, with its line."""
    line, seen = 1, 0
    for found in re.finditer(_TOKEN, document):
        line += document.count("\n", seen, found.start())
        seen = found.start()
        if not found[0].startswith("#"):
            yield found[0], line
