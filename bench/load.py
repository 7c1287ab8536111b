"""Load over kept-alive HTTP: wrk where it is installed, else threads of this process.

Every request of a load is a different one, so that nothing is a replay; whatever is not a 200 stops
the measurement.
"""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import urlsplit

from bench.figures import percentile

DISTINCT = 1000
"""Different bodies in a load."""

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)


class LoadError(Exception):
    """A load that was not answered as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent, over and over: `%d` in the body becomes a number that differs."""

    url: str
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What came of a load."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return self.requests / self.seconds


def generator() -> str:
    """Which program makes the load."""
    return "wrk" if shutil.which("wrk") else "python threads (install wrk for trustworthy figures)"


def drive(load: Load, *, clients: int, seconds: float) -> Throughput:
    """Keep `clients` connections busy for `seconds`, whole ones."""
    if shutil.which("wrk"):
        return _wrk(load, clients=clients, seconds=seconds)
    return by_threads(load, clients=clients, seconds=seconds)


_SCRIPT = """
local prepared, at = {}, 0
function init(args)
  for i = 1, %(distinct)d do
    prepared[i] = wrk.format("POST", nil, %(headers)s, string.format(%(body)s, i))
  end
end
function request()
  at = at %% %(distinct)d + 1
  return prepared[at]
end
function done(summary, latency, requests)
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("RESULT %%d %%d %%d %%d %%f %%f\\n", summary.requests, summary.duration,
    errors.status, lost, latency:percentile(50), latency:percentile(99)))
end
"""


def _wrk(load: Load, *, clients: int, seconds: float) -> Throughput:
    headers = {"Content-Type": "application/json", **load.headers}
    pairs = ", ".join(f"[{json.dumps(name)}] = {json.dumps(headers[name])}" for name in headers)
    script = _SCRIPT % {
        "distinct": DISTINCT,
        "headers": f"{{{pairs}}}",
        "body": json.dumps(load.body),
    }
    with TemporaryDirectory() as directory:
        path = Path(directory) / "load.lua"
        path.write_text(script)
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
        finished = subprocess.run(
            [*command, "-s", str(path), load.url], capture_output=True, text=True, check=False
        )
    line = next((x for x in finished.stdout.splitlines() if x.startswith("RESULT ")), None)
    if line is None:
        raise LoadError(f"wrk did not finish: {finished.stdout}{finished.stderr}")
    requests, micros, refused, lost, p50, p99 = (float(word) for word in line.split()[1:])
    if refused or lost or not requests:
        raise LoadError(f"{refused:.0f} answers were no 200, {lost:.0f} did not come: {load.url}")
    return Throughput(int(requests), micros / 1e6, p50 / 1000, p99 / 1000)


class Connection:
    """One kept-alive HTTP/1.1 connection that costs its caller little.

    With `quickack` every segment is acknowledged at once, so that a peer whose socket waits for
    acknowledgements (Nagle) is measured and not the waiting.
    """

    def __init__(self, url: str, *, quickack: bool = False, timeout_seconds: float = 90.0) -> None:
        """Connect to the host of `url`."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host = parts.netloc
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._quickack = quickack
        self._left = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of the answer; raises `LoadError` when it is no 200."""
        self.send(method, path, body, headers)
        status, content = self.receive()
        if status != 200:
            raise LoadError(f"{method} {path}: {status} {content[:300]!r}")
        return content

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Only the request; `receive` takes the answer."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self._acknowledge()
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def receive(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        status = int(head[0].split(" ", 2)[1])
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return status, self._chunks()
        return status, self._exactly(int(fields.get("content-length", "0")))

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            pieces.append(self._exactly(size))
            self._until(b"\r\n")
        self._until(b"\r\n")
        return b"".join(pieces)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._left:
            self._more()
        found, _, self._left = self._left.partition(mark)
        return found

    def _exactly(self, count: int) -> bytes:
        while len(self._left) < count:
            self._more()
        found, self._left = self._left[:count], self._left[count:]
        return found

    def _more(self) -> None:
        self._acknowledge()
        received = self._socket.recv(262_144)
        if not received:
            raise LoadError("the server closed the connection")
        self._left += received

    def _acknowledge(self) -> None:
        if self._quickack and _QUICKACK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def by_threads(
    load: Load, *, clients: int, seconds: float, quickack: bool = False, patience: float = 90.0
) -> Throughput:
    """The same load from threads of this process: for peers that answer hundreds, not thousands."""
    path = urlsplit(load.url).path
    spent: list[float] = []
    failures: list[Exception] = []
    began = time.perf_counter()

    def work(first: int) -> None:
        try:
            with Connection(load.url, quickack=quickack, timeout_seconds=patience) as connection:
                turn = first
                while time.perf_counter() < began + seconds:
                    body = (load.body % turn if "%d" in load.body else load.body).encode()
                    at = time.perf_counter()
                    connection.request("POST", path, body, load.headers)
                    spent.append(time.perf_counter() - at)
                    turn += clients
        except (LoadError, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - began
    if failures:
        raise LoadError(f"{len(failures)} of {clients} clients failed, first: {failures[0]}")
    return Throughput(
        len(spent), taken, percentile(spent, 0.5) * 1e3, percentile(spent, 0.99) * 1e3
    )


def timed(
    connection: Connection,
    requests: Sequence[tuple[str, str, bytes]],
    headers: Mapping[str, str],
) -> list[float]:
    """Milliseconds of each of several requests, one after another."""
    spent = []
    for method, path, body in requests:
        at = time.perf_counter()
        connection.request(method, path, body, headers)
        spent.append((time.perf_counter() - at) * 1e3)
    return spent


def parsed(content: bytes) -> Any:
    """JSON of an answer."""
    return json.loads(content)
