"""`tally doctor`: what the agents' side needs around it, each thing both ways."""

import http.server
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.agents import codex_checks, install, place_checks, project
from tallystick.agents.digest import sha256_hex
from tallystick.agents.found import NAMES
from tallystick.agents.pieces import POLICY, Program
from tallystick.agents.visit import Visit
from tallystick.doctor.finding import Verdict
from tallystick.testing.clock import ManualClock
from tests.unit.agents.visiting import NOW, THREE, codex_says, is_failure


class Health(http.server.BaseHTTPRequestHandler):
    """A server whose clock stands still."""

    def do_GET(self) -> None:
        self.send_response_only(200)
        self.send_header("Date", "Sat, 21 Nov 2026 14:00:00 GMT")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Nothing is written."""


HEALTH_NOW = 1_795_269_600_000


@pytest.fixture
def health() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def at(visit: Visit, now: int, **environment: str) -> Visit:
    merged: Mapping[str, str] = {**visit.environment, **environment}
    return replace(visit, clock=ManualClock(now), environment=merged)


def test_a_server_that_answers_and_its_clock(visit: Visit, health: str) -> None:
    here = at(visit, HEALTH_NOW + 900, TALLY_SERVER_URL=health)
    assert place_checks.server(here).verdict is Verdict.OK
    assert place_checks.clock(here).verdict is Verdict.OK
    late = at(visit, HEALTH_NOW + 61_000, TALLY_SERVER_URL=health)
    found = place_checks.clock(late)
    assert (found.verdict, found.found) == (Verdict.WARN, "61 s from the server's")


def test_a_server_that_is_not_there_is_found(visit: Visit) -> None:
    assert is_failure(place_checks.server(visit), "no Tallystick server is running here")
    dead = at(visit, NOW, TALLY_SERVER_URL="http://127.0.0.1:1")
    assert is_failure(place_checks.server(dead), "does not answer")
    assert place_checks.clock(dead).verdict is Verdict.WARN


def test_a_policy_that_is_not_in_force_is_told(visit: Visit) -> None:
    assert place_checks.policy(visit).verdict is Verdict.OK
    file = visit.root / POLICY
    file.write_text('mode = "deny"\n')
    waiting = place_checks.policy(visit)
    assert (waiting.verdict, waiting.mend) == (Verdict.WARN, "tally policy accept")
    accept(visit, file.read_bytes(), "deny")
    assert place_checks.policy(visit).found == "accepted: mode deny"
    accept(visit, b'mode = "off"\n', "off")
    assert "accepted one rules" in place_checks.policy(visit).found
    file.write_text('mode = "off"\n')
    assert place_checks.policy(visit).verdict is Verdict.WARN
    file.write_text('mood = "off"\n')
    assert is_failure(place_checks.policy(visit), "mood")


def accept(visit: Visit, text: bytes, mode: str) -> None:
    """What a person's acceptance leaves."""
    path = Path(project.accepted_path(str(visit.root), str(visit.tally_home)))
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "root": str(visit.root), "sha256": sha256_hex(text), "mode": mode, "rules": {},
        "accepted_at": NOW, "seq": 1,
    }  # fmt: skip
    path.write_text(json.dumps(document))


def test_decisions_that_nobody_carries_are_told(visit: Visit) -> None:
    assert place_checks.spool(visit).found == "empty"
    spool = visit.tally_home / "spool"
    spool.mkdir(parents=True)
    (spool / "dec_0123456789ab.json").write_text(json.dumps({"id": "dec_0123456789ab", "at": NOW}))
    assert place_checks.spool(at(visit, NOW + 1000)).verdict is Verdict.OK
    stuck = place_checks.spool(at(visit, NOW + 7_200_000))
    assert (stuck.verdict, stuck.found) == (
        Verdict.WARN,
        "1 decisions wait, the oldest for 120 min",
    )
    (spool / "dec_0123456789ab.json").write_text("half")
    assert "holds no decision" in place_checks.spool(visit).found


def test_a_disk_that_is_nearly_full_is_told(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place_checks.disk(visit).verdict is Verdict.OK
    monkeypatch.setattr(place_checks, "TOO_LITTLE_BYTES", 1 << 60)
    assert place_checks.disk(visit).verdict is Verdict.FAIL


MCP = """\
import json, sys
for line in sys.stdin:
    call = json.loads(line)
    if "id" in call:
        tools = [] if TOOLS == 0 else [{"name": "a"}] * TOOLS
        answer = {"jsonrpc": "2.0", "id": call["id"], "result": {"tools": tools}}
        print(json.dumps(answer), flush=True)
"""


@pytest.mark.parametrize(("count", "verdict"), [(2, Verdict.OK), (0, Verdict.FAIL)])
def test_an_mcp_entry_that_lists_no_tools_is_found(
    visit: Visit, count: int, verdict: Verdict
) -> None:
    assert visit.home is not None
    file = visit.home.parent / "tally"
    file.write_text(f"#!{sys.executable}\nTOOLS = {count}\n{MCP}")
    file.chmod(0o755)
    program = Program(hook=visit.program.hook, server=(str(file), "mcp"))
    install.apply(install.plan(visit.root, NAMES, program))
    assert place_checks.mcp(visit).verdict is verdict


def test_a_sandbox_that_forbids_connections_is_told(visit: Visit, health: str) -> None:
    reaching = codex_says(visit, THREE, TALLY_SERVER_URL=health)
    assert codex_checks.sandbox(reaching, "codex").verdict is Verdict.OK
    closed = codex_says(visit, THREE, TALLY_SERVER_URL=health, SANDBOX="closed")
    found = codex_checks.sandbox(closed, "codex")
    assert found.verdict is Verdict.WARN
    assert "Operation not permitted" in found.found
    assert "network_access = true" in (found.mend or "")
