"""The OpenAPI document, held against the server by schemathesis (P9.1 to P9.2, RFC 9457).

No answer outside its schema, its statuses or its media types, no 5xx, no access without a token;
with data that fits and data that does not, in sequences that follow what the answers return.
With TALLY_SOAK=1 ten times as many requests.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick.api.app import ENDPOINTS
from tallystick.domain.ids import Role
from tests.http.door import Door
from tests.http.test_guard import decision, name_of

SOAK: Final = os.environ.get("TALLY_SOAK") == "1"
SEED: Final = 20_260
LEAST: Final = 50_000 if SOAK else 5_000
EXAMPLES: Final = 700 if SOAK else 25
"""Test cases for each operation and phase; enough for `LEAST` requests with some to spare."""

AS_AGENT: Final = 2_000 if SOAK else 200

NEVER_DONE: Final = {"GET /ledger/tile/{path*}": "no slash is ever put into a path parameter"}
"""Operations without any 2xx, each with the reason."""


def configured(door: Door, token: str) -> str:
    """The configuration: which ids exist, and who asks."""
    sweep = door.sweep()
    run, attempt = door.launched(sweep)
    door.post(f"/runs/{run}/metrics", {"rows": [{"step": 1, "loss": 0.5}]})
    ready = [door.run(sweep)["id"] for _ in range(12)]
    asked = {"message": "m", "choices": ["continue", "stop"]}
    alert = door.post(f"/runs/{run}/alerts", asked)["alert_id"]
    door.post("/guard/decisions", {"decisions": [decision("known")]})
    tokens = [door.post("/tokens", {"role": "agent"}, token="admin")["id"] for _ in range(3)]
    known: dict[str, list[Any]] = {
        "path.run": [run, run, *ready],
        "path.sweep": [sweep, sweep, *(door.sweep() for _ in range(3))],
        "path.attempt": [attempt],
        "path.alert": [alert],
        "path.decision": [name_of("known")],
        "path.scope": [door.sweep()],
        "path.token": tokens,
        "path.session": ["conversation-1"],
        "path.skill": ["tallystick-protocol"],
        "path.path": ["SKILL.md", "0/000.p/1", "entries/000.p/2"],
        "path.seq": ["0", "1", "2"],
    }
    lines = [
        f"seed = {SEED}",
        "continue-on-failure = true",
        "request-timeout = 30.0",
        "max-stream-events = 5",
        f"headers = {{ X-Auth-Token = {json.dumps(token)} }}",
        "[generation]",
        'database = "none"',
        "no-shrink = true",
        # Fitting data that is refused with 422: tests/http/checks.py looks at the code instead.
        "[checks.positive_data_acceptance]",
        'expected-statuses = ["2xx", "401", "403", "404", "409", "422"]',
        "[dictionaries]",
        *(f"{_name(key)} = {{ values = {json.dumps(ids)} }}" for key, ids in known.items()),
        "[parameters]",
        *(f'"{key}" = {{ dictionary = "{_name(key)}", probability = 0.8 }}' for key in known),
        "[[operations]]",
        'include-path-regex = "^/attempts/"',
        f"headers = {{ X-Auth-Token = {json.dumps(door.secret(attempt, Role.SUPERVISOR))} }}",
    ]
    return "\n".join(lines) + "\n"


def _name(key: str) -> str:
    return key.replace(".", "_")


def tried(door: Door, directory: Path, *, token: str, examples: int) -> None:
    """Let schemathesis loose; fails with all that it found."""
    file = directory / "schemathesis.toml"
    file.write_text(configured(door, token))
    checks = Path(__file__).with_name("checks.py")
    # One worker: CPython 3.11 cannot parse source in two threads at once (ast, in hypothesis).
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(file)),
        *("run", f"{door.url}/openapi.json", "--no-color", "--max-examples", str(examples)),
        *("--workers", "1", "--checks", "all", "--seed", str(SEED)),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(checks),
        "PYTHONPATH": str(checks.parent),
    }
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    print(f"seed {SEED}, {door.counted.total} requests")
    if done.returncode != 0:
        pytest.fail(f"schemathesis ended with {done.returncode}\n{done.stdout}\n{done.stderr}")


@pytest.mark.timeout(4 * 3600 if SOAK else 840)
def test_the_document_is_true_for_an_administrator(
    open_door: Callable[[], Door], tmp_path: Path
) -> None:
    door = open_door()
    door.counted.frames = 3
    warn = {"session": "warn", "sweep": "warn"}
    assert door.call("PUT", "/policy", json=warn, token="admin").status_code == 200
    tried(door, tmp_path, token=door.token("admin"), examples=EXAMPLES)
    assert door.counted.total >= LEAST
    assert not [key for key in door.counted.statuses if key[1] >= 500]
    done = {name for name, status in door.counted.statuses if 200 <= status < 300}
    offered = {f"{item.method} {item.path}" for item in ENDPOINTS if not item.hidden}
    assert offered - done <= set(NEVER_DONE)
    assert door.executed() == []
    assert door.problems() == []
    assert open_door().problems() == []


@pytest.mark.timeout(3600 if SOAK else 300)
def test_the_document_is_true_for_an_agent(open_door: Callable[[], Door], tmp_path: Path) -> None:
    door = open_door()
    door.counted.frames = 3
    tried(door, tmp_path, token=door.token("agent"), examples=max(1, AS_AGENT // 100))
    assert door.counted.total >= AS_AGENT
    assert not [key for key in door.counted.statuses if key[1] >= 500]
    assert door.problems() == []
