"""What the program can answer: one row per tool.

From a row come the command and its help, the names in argv[0], what the hot path reads and may replay, and the URLs or
servers that a profile lists with their flag. What a tool says and is told is ``tools/NAME.py``; ``contract`` says what
such a file offers. The hot path reads this table, so it imports nothing and its classes are plain: without slots, which
take 9 µs to make.
"""

# Where a request stands whose answer may be kept and replayed.
STDIN = "stdin"
LINES = "lines"  # stdin up to the first empty line, as git's protocol has it; a JSON object goes to its end
SECRETLESS = "secretless"  # such lines without those that hold a secret: what is answered does not depend on these
ENVIRONMENT = "environment"  # KUBERNETES_EXEC_INFO
EITHER = "either"  # in the environment where it stands there, else lines on stdin
NOTHING = "nothing"  # the command line is all there is

EXEC_INFO = "KUBERNETES_EXEC_INFO"


class Hosts:
    """The URLs or servers that a profile lists for a tool."""

    def __init__(
        self,
        metavar: str,
        help: str,  # noqa: A002 - argparse's own word
        *,
        key: str = "",
        entry: str = "url",
        username: str = "",
        schemes: tuple[str, ...] = (),
        restricts: bool = False,
    ) -> None:
        """``key`` is that of a profile (empty: the tool's name), ``entry`` the required key of a table in its list.

        ``username``: what an answer says where no table says otherwise; empty: the tool knows no user names.
        ``restricts``: whoever asks for another one is refused; else it is not ours.
        """
        self.metavar = metavar
        self.help = help
        self.key = key
        self.entry = entry
        self.username = username
        self.schemes = schemes
        self.restricts = restricts


class Tool:
    """One row."""

    def __init__(
        self,
        name: str,
        summary: str,
        *,
        names: tuple[str, ...] = (),
        replayed: "dict[str, str] | None" = None,
        fixed: "dict[str, bytes] | None" = None,
        hosts: "Hosts | None" = None,
        answer: str = "plain",
        arguments: "tuple[tuple[str, dict[str, object]], ...]" = (),
        whole: bool = False,
    ) -> None:
        """``names`` are what argv[0] may be; ``answer`` is the module in ``answers/``.

        ``replayed`` says for each operation, the last word, where its input stands; "" is a command without operations.
        ``fixed`` are operations whose answer is always the same, where nothing else is said.
        ``arguments`` are argparse's. ``whole``: all words are the tool's own, argparse sees none of them.
        """
        self.name = name
        self.summary = summary
        self.names = names
        self.replayed = replayed or {}
        self.fixed = fixed or {}
        self.hosts = hosts
        self.answer = answer
        self.arguments = arguments
        self.whole = whole
        if hosts is not None and not hosts.key:
            hosts.key = name

    def input_of(self, operation: str) -> "str | None":
        """Say where an operation's input stands; None: the tool has no such operation, or its answer is not kept."""
        return self.replayed.get(operation, self.replayed.get(""))


_ROWS = (
    Tool(
        "kubectl",
        "answer kubectl (an exec plugin of a kubeconfig)",
        replayed={"": ENVIRONMENT},
        hosts=Hosts("URL", "serve only this Kubernetes server", key="kubernetes", restricts=True),
        arguments=(
            (
                "--api-version",
                {
                    "metavar": "VERSION",
                    "help": "v1 or v1beta1, where KUBERNETES_EXEC_INFO does not say (default: v1beta1)",
                },
            ),
        ),
    ),
    Tool(
        "git",
        "answer git (a credential helper)",
        names=("git-credential-helper",),
        replayed={"get": LINES, "store": SECRETLESS},
        fixed={"capability": b"version 0\ncapability authtype\ncapability state\n"},
        hosts=Hosts("URL", "serve git for this URL", username="oauth2", schemes=("auto", "basic", "bearer")),
        answer="git",
        arguments=(
            (
                "operation",
                {"metavar": "OPERATION", "nargs": "?", "help": "get, store, erase or capability, as git says"},
            ),
        ),
    ),
    Tool(
        "docker",
        "answer docker, podman and skopeo (a credential store)",
        names=("docker-credential-helper",),
        replayed={"get": STDIN, "list": NOTHING},
        hosts=Hosts(
            "SERVER",
            "serve docker, podman and skopeo for this registry",
            entry="server",
            username="oauth2accesstoken",
        ),
        answer="docker",
        arguments=(
            (
                "action",
                {"metavar": "ACTION", "nargs": "?", "help": "get, store, erase, list or version, as docker says"},
            ),
        ),
        whole=True,
    ),
    Tool(
        "bazel",
        "answer Bazel (a credential helper)",
        names=("bazel-credential-helper",),
        replayed={"get": STDIN},
        hosts=Hosts("URL", "serve Bazel for this URL"),
    ),
    Tool(
        "get",
        "answer a request on stdin: our JSON, an ExecCredential, or git's lines",
        replayed={"": EITHER},
        answer="get",
    ),
    Tool("store", "answer git's store, with git's lines on stdin", replayed={"": SECRETLESS}, answer="git"),
    Tool("erase", "answer git's erase, with git's lines on stdin", answer="git"),
    Tool(
        "token",
        "print a token and a newline, for curl and scripts",
        replayed={"": NOTHING},
        answer="scripts",
        arguments=(("profiles", {"metavar": "PROFILE", "nargs": "?", "help": "the profile's name"}),),
    ),
)

TOOLS = {row.name: row for row in _ROWS}
WITHOUT_WORDS = "get"  # what answers where no command is named

# What a profile lists, by its key; first those that say whose request it is.
LISTED = {
    row.hosts.key: row
    for restricts in (False, True)
    for row in _ROWS
    if row.hosts is not None and row.hosts.restricts is restricts
}

_BY_PROGRAM = {name: row for row in _ROWS for name in row.names}


def program_name(path: str) -> str:
    """Return argv[0] without its directory, its ``.exe`` and its case."""
    return path.replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe")


def called(program: str, words: "list[str]") -> "tuple[Tool | None, list[str]]":
    """Return the tool that is called, by its own program's name or by the first word, and the words after that."""
    if program in _BY_PROGRAM:
        return _BY_PROGRAM[program], words
    if words and words[0] in TOOLS:
        return TOOLS[words[0]], words[1:]
    return None, words


def fixed_answer(program: str, words: "list[str]") -> "bytes | None":
    """Return the answer to an operation that is always answered the same; None: it is none, or more is said."""
    row, rest = called(program, words)
    return row.fixed.get(rest[0]) if row is not None and len(rest) == 1 else None


def input_of(program: str, words: "list[str]", environ: object) -> "str | None":
    """Say where a request that may have a kept answer has its input; None: there is no such request.

    ``environ`` is asked for a variable only. Without a command ``WITHOUT_WORDS`` answers.
    """
    row, rest = called(program, words)
    if row is None and not words:
        row = TOOLS[WITHOUT_WORDS]
    kind = row.input_of(rest[-1] if rest else "") if row is not None else None
    if kind == EITHER:
        kind = ENVIRONMENT if EXEC_INFO in environ else LINES  # type: ignore[operator]
    return kind
