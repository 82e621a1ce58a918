"""What is measured, by the names that ``--rows`` takes, in the order in which it is."""

from __future__ import annotations

from collections.abc import Callable

from integration.bench.peers import peers
from integration.bench.report import Report
from integration.bench.rows import answers, clusters, fleets, launchers, people, refreshes, waiters
from integration.bench.setting import Setting

ROWS: dict[str, Callable[[Setting, Report], None]] = {
    "cached": answers.cached,
    "silence": answers.silence,
    "valid": answers.valid,
    "refresh": refreshes.refresh,
    "refresh-id": refreshes.refresh_id,
    "line": refreshes.line,
    "keyring": refreshes.keyring,
    "crowds": waiters.crowds,
    "prompt": people.prompt,
    "launcher": launchers.launched,
    "kubectl": clusters.kubectl,
    "fleet": fleets.fleet,
    "peers": peers,
}
