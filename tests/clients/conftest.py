"""Real clients of other trackers, each in an environment of its own, logging from real runs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.server import ServerProcess, eventually, running_server

JOBS = Path(__file__).resolve().parent / "jobs"
CLIENTS = Path(__file__).resolve().parents[2] / "build" / "clients"
"""Where the runner of the suites installs them, from the requirements of this folder."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A server, and jobs that log to it."""

    server: ServerProcess
    sweep: str

    def start(self, client: str, job: str, *arguments: str, **fields: Any) -> str:
        """A run of a job; its id."""
        command = " ".join([str(python_of(client)), str(JOBS / job), *arguments])
        return str(self.server.run(self.sweep, command, **fields)["id"])

    def ended(self, run: str) -> dict[str, Any]:
        """The run, which must have gone well."""
        found = self.server.ended(run, within_seconds=100)
        assert found["status"] == "finished", self.output(run)
        return found

    def output(self, run: str) -> str:
        """What it printed."""
        return str(self.server.get(f"/runs/{run}/logs?offset=0&limit=102400")["content"])

    def printed(self, run: str) -> dict[str, Any]:
        """The JSON objects that it printed, as one."""
        found: dict[str, Any] = {}
        for line in self.output(run).splitlines():
            if line.startswith("{"):
                found |= json.loads(line)
        return found

    def metrics(self, run: str, *keys: str) -> dict[str, list[list[Any]]]:
        """Series by name: step and value as text, so that NaN is like NaN.

        Without `keys` those that the job logged; what was measured of its processes is left out.
        """
        chosen = f"?keys={json.dumps(keys)}".replace(" ", "%20").replace('"', "%22") if keys else ""
        told = self.server.get(f"/runs/{run}/metrics{chosen}")
        assert not told or told["read_bytes"] == told["total_bytes"]
        return {
            name: [[point["step"], text(point["value"])] for point in points]
            for name, points in told.get("metricSeries", {}).items()
            if keys or not name.startswith("system/")
        }

    def seals(self, run: str, stream: str) -> list[dict[str, Any]]:
        """The entries of the ledger that seal a stream of a run."""
        entries = self.server.get("/ledger/entries?limit=1000&after=-1")["entries"]
        return [
            entry["data"]
            for entry in entries
            if entry["type"] == "output.sealed"
            and entry["stream"] == run
            and entry["data"]["stream"] == stream
        ]

    def restart(self, *, kill: bool) -> None:
        """The server ends and comes back at the same address."""
        port = self.server.url.rpartition(":")[2]
        self.server.kill() if kill else self.server.stop()
        if "--port" not in self.server.extra:
            self.server.extra.extend(["--port", port])
        self.server.start()

    def stored(self, run: str, name: str) -> Path:
        """A raw stream of a run."""
        return self.server.data_dir / "runs" / run / "metrics" / name

    def grown(self, run: str, name: str, lines: int) -> None:
        """Wait until a stream has some lines."""
        path = self.stored(run, name)
        eventually(lambda: path.exists() and path.read_bytes().count(b"\n") >= lines)


def python_of(client: str) -> Path:
    """The interpreter of a client; where it is not installed the test is skipped, which counts as
    a failure where everything must run.
    """
    python = CLIENTS / client / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{client} is not installed in {CLIENTS}")
    return python


def text(value: Any) -> str:
    """A number as Python would write it as a float."""
    names = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
    return names[value] if isinstance(value, str) else str(float(value))


def sorted_points(points: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Points in the order of their steps, for clients that send them in any."""
    return sorted([list(point) for point in points], key=lambda point: (point[0], point[1]))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A server of the test's own."""
    with running_server(tmp_path) as server:
        yield Bench(server, server.sweep())
