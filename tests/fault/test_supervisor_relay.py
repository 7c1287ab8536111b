"""The server is down, restarts elsewhere, refuses, forgets: everything is delivered in the end."""

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tallystick.execution.backend import Handle, Supervised
from tallystick.execution.local import LocalBackend
from tallystick.testing.announced import Announcement
from tallystick.testing.contract.backend import TOKEN, Rig, journal_of, wait_for
from tallystick.wire.observation import Ended, SupervisorStarted
from tests.fault.waking import switches

GARBLED = {
    -1: b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{",
    -2: b"HTTP/1.1 200 OK\r\nContent-Len",
    -3: b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"acknowledged": "6"}'[:-2],
    -4: b"\x00\xff nonsense\r\n\r\n",
    -5: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    -6: b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"acknowledged": 9999}',
    -7: b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
}
"""Answers cut off in body and head, of the wrong kind, nonsense, beyond what was sent."""


class Server:
    """Stands in for the server: keeps what it is told, and fails as it is told to."""

    def __init__(self, server_file: Path) -> None:
        self.server_file = server_file
        self.records: list[dict[str, object]] = []
        self.deliveries: list[tuple[int, ...]] = []
        self.metrics = b""
        self.tokens: set[str | None] = set()
        self.statuses: list[int] = []
        """Answers for the next requests; 0 takes what is sent, and hangs up without a word.

        Those in `GARBLED` take it, too, and say that."""
        self.http: ThreadingHTTPServer | None = None
        self.announcement: Announcement | None = None

    def start(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.tokens.add(self.headers["Authorization"])
                status = server.statuses.pop(0) if server.statuses else 200
                answer = server.take(self.path, body) if status in {0, 200} else {}
                if status == 0:
                    return
                if status in GARBLED:
                    server.take(self.path, body)
                    self.wfile.write(GARBLED[status])
                    return
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        port = self.http.server_address[1]
        self.announcement = Announcement(self.server_file, f"http://127.0.0.1:{port}")

    def stop(self) -> None:
        if self.announcement is not None:
            self.announcement.withdraw()
        if self.http is not None:
            self.http.shutdown()
            self.http.server_close()
            self.http = None

    def take(self, path: str, body: bytes) -> dict[str, int]:
        url = urlsplit(path)
        if url.path.endswith("/metrics"):
            offset = int(parse_qs(url.query)["offset"][0])
            if offset == len(self.metrics):
                self.metrics += body
            return {"offset": len(self.metrics)}
        records = json.loads(body)["observations"]
        self.deliveries.append(tuple(record["n"] for record in records))
        for record in records:
            if record["n"] == len(self.records) + 1:
                self.records.append(record)
        return {"acknowledged": len(self.records)}

    def kinds(self) -> list[object]:
        return [record["kind"] for record in self.records]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server.json")
    yield server
    server.stop()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    backend = LocalBackend()
    yield Rig(backend, tmp_path)
    backend.close()


def submit(rig: Rig, server: Server, command: str) -> tuple[Handle, int]:
    handle = rig.submit(command, server_file=str(server.server_file))
    first = wait_for(lambda: journal_of(handle), what="a journal")[0]
    assert isinstance(first, SupervisorStarted)
    return handle, first.pid


def ended(handle: Handle) -> Ended:
    def last() -> Ended | None:
        records = journal_of(handle)
        return records[-1] if records and isinstance(records[-1], Ended) else None

    return wait_for(last, what="the end in the journal")


def delivered(server: Server, pid: int) -> None:
    wait_for(lambda: server.kinds()[-1:] == ["ended"], what="delivery of the end")
    wait_for(lambda: not _lives(pid), what="the supervisor's exit")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


ALL = ["supervisor_started", "command_started", "described", "command_exited", "output_sealed"]


def test_everything_is_told_and_the_supervisor_goes(rig: Rig, server: Server) -> None:
    server.start()
    handle, pid = submit(rig, server, "exit 3")
    delivered(server, pid)
    assert server.kinds() == [*ALL, "ended"]
    assert server.tokens == {f"Bearer {TOKEN}"}
    assert server.records[-1]["exit_code"] == 3
    assert len(journal_of(handle)) == 6


def test_what_a_running_command_reports_comes_while_it_runs(rig: Rig, server: Server) -> None:
    server.start()
    go = rig.root / "go"
    command = f"echo '{{\"loss\": 1}}' >> $TALLY_METRICS; while [ ! -e {go} ]; do sleep 0.02; done"
    _, pid = submit(rig, server, command)
    wait_for(lambda: "command_started" in server.kinds(), what="command_started")
    wait_for(lambda: server.metrics, what="metrics")
    assert "ended" not in server.kinds()
    go.touch()
    delivered(server, pid)


def test_a_server_that_was_down_is_told_later(rig: Rig, server: Server) -> None:
    handle, pid = submit(rig, server, "printf '{}\\n{}' >> $TALLY_METRICS; exit 4")
    assert ended(handle).exit_code == 4
    assert rig.see(handle) == Supervised()  # it still has to tell
    assert _lives(pid)
    server.start()
    delivered(server, pid)
    assert server.records[-1]["exit_code"] == 4
    assert server.metrics == b"{}\n{}"


def test_whoever_has_the_port_now_and_is_no_server_is_told_no_token(
    rig: Rig, server: Server
) -> None:
    server.start()
    assert server.announcement is not None
    server.announcement.withdraw()  # the port still answers
    handle, pid = submit(rig, server, "exit 4")
    ended(handle)
    before = switches(pid)  # it only sleeps and tries by now, each try at least one switch
    wait_for(lambda: switches(pid) >= before + 6, what="several tries")
    assert _lives(pid)
    assert server.tokens == set()
    server.stop()
    server.start()
    delivered(server, pid)
    assert server.tokens == {f"Bearer {TOKEN}"}


def test_a_server_that_comes_back_on_another_port_is_found(rig: Rig, server: Server) -> None:
    server.start()
    go = rig.root / "go"
    _, pid = submit(rig, server, f"while [ ! -e {go} ]; do sleep 0.02; done; exit 5")
    wait_for(lambda: "command_started" in server.kinds(), what="command_started")
    server.stop()
    go.touch()
    server.start()
    delivered(server, pid)
    assert server.kinds() == [*ALL, "ended"]


@pytest.mark.parametrize("status", [401, 404, 409, 429, 500, 503])
def test_passing_trouble_is_outlived(rig: Rig, server: Server, status: int) -> None:
    server.statuses = [status, status]
    server.start()
    _, pid = submit(rig, server, "exit 6")
    delivered(server, pid)
    assert server.kinds() == [*ALL, "ended"]


def test_an_answer_that_was_lost_means_a_second_delivery(rig: Rig, server: Server) -> None:
    server.statuses = [0]
    server.start()
    _, pid = submit(rig, server, "exit 7")
    delivered(server, pid)
    told = [n for delivery in server.deliveries for n in delivery]
    assert len(told) > len(set(told))
    assert server.kinds() == [*ALL, "ended"]


@pytest.mark.parametrize("answer", GARBLED)
def test_half_an_answer_or_nonsense_is_outlived(rig: Rig, server: Server, answer: int) -> None:
    server.statuses = [answer, answer]
    server.start()
    _, pid = submit(rig, server, "echo 1 >> $TALLY_METRICS; exit 7")
    delivered(server, pid)
    assert server.metrics == b"1\n"
    assert server.kinds()[:4] == ALL[:4]
    assert server.records[-1]["exit_code"] == 7


def test_who_reads_the_end_reads_the_metrics_too(rig: Rig, server: Server) -> None:
    server.start()
    take, seen = server.take, []

    def watched(path: str, body: bytes) -> dict[str, int]:
        answer = take(path, body)
        if server.kinds()[-1:] == ["ended"]:
            seen.append(server.metrics)
        return answer

    server.take = watched  # type: ignore[method-assign]
    _, pid = submit(rig, server, "echo 1 >> $TALLY_METRICS; printf 2 >> $TALLY_METRICS")
    delivered(server, pid)
    assert seen[0] == b"1\n2"


def test_metrics_that_are_refused_hold_up_no_end(rig: Rig, server: Server) -> None:
    server.start()
    take = server.take
    server.take = lambda path, body: {} if "/metrics" in path else take(path, body)  # type: ignore[method-assign]
    submit(rig, server, "echo 1 >> $TALLY_METRICS; exit 5")
    wait_for(lambda: server.kinds()[-1:] == ["ended"], what="delivery of the end")
    server.take = take  # type: ignore[method-assign]
    wait_for(lambda: server.metrics == b"1\n", what="the metrics")


def test_a_server_that_forgot_is_told_again(rig: Rig, server: Server) -> None:
    server.start()
    go = rig.root / "go"
    report = "echo %d >> $TALLY_METRICS"
    submit(rig, server, f"{report % 1}; while [ ! -e {go} ]; do sleep 0.02; done; {report % 2}")
    wait_for(lambda: len(server.records) == 3 and server.metrics, what="a first delivery")
    server.records, server.metrics = [], b""
    go.write_text("")
    wait_for(lambda: server.kinds()[-1:] == ["ended"], what="delivery of the end")
    assert server.kinds() == [*ALL, "output_sealed", "ended"]
    wait_for(lambda: server.metrics == b"1\n2\n", what="the metrics")


def test_metrics_arrive_byte_for_byte(rig: Rig, server: Server) -> None:
    """Long lines, a torn last one, and a server that takes them in several answers."""
    server.statuses = [200, 0, 503, 200, 0]
    server.start()
    program = (
        "import os\n"
        "with open(os.environ['TALLY_METRICS'], 'ab', 0) as out:\n"
        "    for n in range(2000): out.write(b'{\"step\": %d}\\n' % n)\n"
        "    out.write(b'x' * 700_000 + b'\\n' + b'torn')\n"
    )
    (rig.root / "report.py").write_text(program)
    handle, pid = submit(rig, server, "python3 report.py")
    delivered(server, pid)
    assert server.metrics == (handle.directory / "metrics.jsonl").read_bytes()
    assert [r["stream"] for r in server.records if r["kind"] == "output_sealed"] == [
        "output",
        "metrics",
    ]


def test_a_black_hole_does_not_hold_up_supervision(rig: Rig, server: Server) -> None:
    """A server that accepts and never answers; the command's end is recorded meanwhile."""
    began = time.monotonic()
    server.start()
    assert server.http is not None
    server.http.shutdown()  # connections are still accepted by the kernel
    handle, pid = submit(rig, server, "exit 8")
    assert ended(handle).exit_code == 8
    assert time.monotonic() - began < 8
    assert _lives(pid)
    handle.directory.rename(handle.directory.with_name("gone"))  # at one stroke
    server.http.server_close()
    server.http = None
    wait_for(lambda: not _lives(pid), what="the supervisor's exit")


def test_a_supervisor_whose_run_directory_is_gone_gives_up(rig: Rig, server: Server) -> None:
    handle, pid = submit(rig, server, "true")
    ended(handle)
    assert _lives(pid)
    handle.directory.rename(handle.directory.with_name("gone"))  # at one stroke
    wait_for(lambda: not _lives(pid), what="the supervisor's exit")
