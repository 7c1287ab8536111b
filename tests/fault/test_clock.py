"""A clock that jumps: back by an hour, ahead by ten years, and right again.

The stated answer: an entry's time is what the server's clock said, and nothing is decided by it but
when a token expires. Order is the position in the ledger, waits use the kernel's monotonic clock,
and a request is recognised again however much time has passed.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tallystick.config import ExecutionSettings, ServerSettings, Settings
from tallystick.ledger.export import write_export
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.verify import verify_export
from tallystick.projections.audit import verify_database
from tallystick.server import build
from tallystick.testing.backend import FakeBackend
from tallystick.testing.clock import ManualClock
from tests.unit.api.in_process import Api

HOUR_MS = 3_600_000
YEARS_MS = 10 * 365 * 24 * HOUR_MS
JUMPS = [-HOUR_MS, YEARS_MS, -YEARS_MS, -HOUR_MS, 2 * HOUR_MS]
"""The last two end where the clock began; between them lies everything that goes wrong."""


@dataclass
class Jumping:
    """A server whose clock a test moves."""

    api: Api
    clock: ManualClock


@pytest.fixture
def jumping(tmp_path: Path) -> Iterator[Jumping]:
    clock = ManualClock()
    settings = Settings(
        server=ServerSettings(data_dir=tmp_path / "data", workspace=tmp_path),
        execution=ExecutionSettings(max_concurrent=2, record_tree=False, poll_seconds=60.0),
    )
    api = Api(build(settings, clock=clock, backend=FakeBackend()), tmp_path)
    yield Jumping(api, clock)
    api.close()


@pytest.mark.timeout(120)
def test_order_is_the_position_in_the_ledger_whatever_the_clock_says(
    jumping: Jumping, tmp_path: Path
) -> None:
    api = jumping.api
    made = [api.register(name="at first")["id"]]
    times = [jumping.clock.now()]
    for jump in JUMPS:
        jumping.clock.advance(jump)
        made.append(api.register(name=f"after {jump}")["id"])
        times.append(jumping.clock.now())
    assert [run["id"] for run in api.get("/runs")] == made[::-1]
    assert [api.get(f"/runs/{run}")["created_at"] for run in made] == [t / 1000 for t in times]
    with api.server.database.read() as tx:
        entries = Ledger.read(tx, limit=500)
        head = write_export(tx, tmp_path / "export", api.server.ledger.vkey)
    assert [entry.seq for entry in entries] == list(range(len(entries)))
    assert {entry.ts for entry in entries} == set(times), "each entry says what the clock said"
    assert verify_database(api.server.database).problems == []
    assert verify_export(tmp_path / "export").size == head.size


@pytest.mark.timeout(120)
@pytest.mark.parametrize("jump", [-HOUR_MS, YEARS_MS])
def test_a_request_is_recognised_again_after_any_jump(jumping: Jumping, jump: int) -> None:
    first = jumping.api.sweep_with({"idempotency-key": "once"})
    jumping.clock.advance(jump)
    again = jumping.api.sweep_with({"idempotency-key": "once"})
    assert again["id"] == first["id"]
    assert again["receipt"]["seq"] == first["receipt"]["seq"]


@pytest.mark.timeout(120)
def test_only_tokens_with_an_expiry_follow_the_clock(jumping: Jumping) -> None:
    api = jumping.api
    body = {"role": "agent", "expires_seconds": 7_200}
    bound = api.post("/tokens", body, token="admin")["token"]
    for jump, status in ((-HOUR_MS, 200), (YEARS_MS, 401), (-YEARS_MS, 200), (3 * HOUR_MS, 401)):
        jumping.clock.advance(jump)
        answer = api.call("GET", "/runs", token=bound)
        assert answer.status_code == status, jump
        assert status == 200 or answer.json()["code"] == "token_expired"
        api.get("/runs")
        api.get("/runs", token="admin")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("jump", [-HOUR_MS, YEARS_MS])
def test_a_wait_lasts_as_long_as_was_asked_and_ends_with_what_happens(
    jumping: Jumping, jump: int
) -> None:
    api = jumping.api
    run = api.register(auto_start=False)["id"]
    began = time.monotonic()
    waiting = api.begin("GET", f"/runs/{run}?wait=1")
    jumping.clock.advance(jump)
    assert waiting.result(30).json()["status"] == "ready"
    assert 0.9 < time.monotonic() - began < 10
    told = api.begin("GET", f"/runs/{run}?wait=50")
    jumping.clock.advance(-2 * jump)
    api.post(f"/runs/{run}/stop")
    assert told.result(10).json()["status"] == "stopped"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("jump", [-HOUR_MS, YEARS_MS])
def test_queued_runs_start_and_metrics_are_kept_after_a_jump(jumping: Jumping, jump: int) -> None:
    api = jumping.api
    before = api.register(auto_start=True)["id"]
    api.launched(before)
    jumping.clock.advance(jump)
    after = api.register(auto_start=True)["id"]
    api.launched(after)
    rows = {"rows": [{"step": 1, "loss": 0.5}]}
    for run in (before, after):
        assert api.post(f"/runs/{run}/metrics", rows)["appended"] == 1
        assert api.get(f"/runs/{run}/metrics")["rows"] == 1
        api.post(f"/runs/{run}/stop")
    assert verify_database(api.server.database).problems == []
