"""kill -9 of the server while a sweep becomes runs: every planned point is a run, each once."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.domain.params import encode
from tallystick.ledger.canonical import canonical
from tallystick.testing.server import ServerProcess, eventually, running_server

WHOLE = os.environ.get("TALLY_SOAK") == "1"
SEEDS = 10 if WHOLE else 3
POINTS = 21 * 62 * SEEDS
"""13,020 in the long form: the grid of which another system once ran 17,961."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with running_server(tmp_path) as running:
        yield running


def declare(server: ServerProcess) -> Any:
    return server.post(
        "/sweeps",
        {
            "name": "big",
            "base_command": "python train.py",
            "parameters": {
                "lr": {"min": 1e-5, "max": 1e-1, "num": 21, "scale": "log"},
                "bs": {"min": 1, "max": 62, "step": 1},
            },
            "seeds": SEEDS,
            "chat_session_id": "chat-1",
        },
    )


def runs_of(server: ServerProcess, sweep: str) -> list[Any]:
    """Every run of a sweep, by its point."""
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = server.get(f"/runs?sweep_id={sweep}&limit=1000&cursor={cursor}")
        found += page["items"]
        cursor = page["next_cursor"]
    return sorted(found, key=lambda run: run["point"])


@pytest.mark.timeout(180)
def test_a_server_killed_while_it_registers_a_grid_ends_with_exactly_the_planned_points(
    server: ServerProcess,
) -> None:
    began = time.monotonic()
    made = declare(server)
    assert made["plan"]["count"] == POINTS
    key, seen = made["id"], 0
    for kill in range(2):
        seen = eventually(
            lambda past=seen: (  # type: ignore[misc]
                now if (now := server.get(f"/sweeps/{key}")["registered"]) > past else None
            )
        )
        assert kill or seen < POINTS
        server.kill()
        server.start()
        assert server.get(f"/sweeps/{key}")["registered"] >= seen
    whole = eventually(
        lambda: found if (found := server.get(f"/sweeps/{key}"))["registered"] == POINTS else None
    )
    print(f"{POINTS} runs and two kills took {time.monotonic() - began:.1f} s")
    assert (whole["progress"]["total"], whole["plan"]["digest"]) == (POINTS, made["plan"]["digest"])
    assert (len(whole["run_ids"]), whole["run_ids_truncated"]) == (1_000, True)
    runs = runs_of(server, key)
    assert [run["point"] for run in runs] == list(range(POINTS))
    assert [run["name"] for run in runs[:2]] == ["big #1", "big #2"]
    lines = b"".join(canonical(encode(run["params"])) + b"\n" for run in runs)
    assert hashlib.sha256(lines).hexdigest() == made["plan"]["digest"]
    assert len({run["command"] for run in runs}) == POINTS
    server.stop()
    server.start()
    assert server.get(f"/sweeps/{key}")["progress"]["total"] == POINTS
