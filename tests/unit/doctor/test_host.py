"""The checks of the host, each both ways."""

import fcntl
import json
import os
import resource
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tallystick.doctor import host
from tallystick.doctor.finding import Verdict
from tallystick.doctor.place import Place
from tests.unit.doctor.conftest import MakePlace


@contextmanager
def held(place: Place) -> Iterator[None]:
    """The directory in the hands of a server."""
    lock = os.open(place.data_dir / "server.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def answering(document: bytes) -> Iterator[str]:
    """Somebody who answers every GET with this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def announce(place: Place, url: str) -> None:
    document = {"url": url, "pid": os.getpid()}
    (place.data_dir / "server.json").write_text(json.dumps(document))


def test_no_server_is_no_fault(place: Place) -> None:
    assert host.server(place).verdict is Verdict.OK


def test_a_server_json_of_a_killed_server_is_told(place: Place) -> None:
    announce(place, "http://127.0.0.1:1")
    found = host.server(place)
    assert found.verdict is Verdict.WARN
    assert "server.json" in found.found


@pytest.mark.parametrize("content", [None, "", '{"url"', "[]"])
def test_a_server_that_does_not_say_where_it_is_is_told(place: Place, content: str | None) -> None:
    if content is not None:
        (place.data_dir / "server.json").write_text(content)
    with held(place):
        assert host.server(place).verdict is Verdict.WARN


def test_a_server_that_writes_is_well(place: Place) -> None:
    with held(place), answering(b'{"status": "ok"}') as url:
        announce(place, url)
        found = host.server(place)
    assert found.verdict is Verdict.OK
    assert url in found.found


@pytest.mark.parametrize(
    "document", [b'{"status": "read_only", "reason": "entry 7: no"}', b"hello", b"[]"]
)
def test_a_server_that_cannot_write_or_is_another_is_told(place: Place, document: bytes) -> None:
    with held(place), answering(document) as url:
        announce(place, url)
        found = host.server(place)
    assert found.verdict is Verdict.FAIL
    assert found.mend


def test_a_server_that_does_not_answer_is_told_with_its_process(place: Place) -> None:
    with held(place), socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        announce(place, f"http://127.0.0.1:{silent.getsockname()[1]}")
        found = host.server(place)
    assert found.verdict is Verdict.FAIL
    assert f"kill {os.getpid()}" in str(found.mend)


def test_a_port_in_use_names_who_has_it(place_of: MakePlace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        found = host.port(place_of(port=number))
    assert found.verdict is Verdict.FAIL
    assert f"process {os.getpid()}" in found.found
    assert "--port 0" in str(found.mend)
    assert host.port(place_of(port=number)).verdict is Verdict.OK


def test_any_port_and_a_running_servers_own_are_well(place_of: MakePlace) -> None:
    assert host.port(place_of(port=0)).verdict is Verdict.OK
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = place_of(port=taken.getsockname()[1])
        with held(place):
            assert host.port(place).verdict is Verdict.OK


def test_what_the_kernel_cannot_do_is_told(
    place: Place, place_of: MakePlace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert host.kernel(place).verdict in {Verdict.OK, Verdict.WARN}
    assert host.kernel(place_of(proc=tmp_path)).verdict is Verdict.FAIL

    def refuse(*_: object) -> int:
        raise OSError

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    assert host.kernel(place).verdict is Verdict.WARN
    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert host.kernel(place).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("files", "processes", "verdict"),
    [
        (4096, 4096, Verdict.OK),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, Verdict.OK),
        (256, 4096, Verdict.WARN),
        (4096, 100, Verdict.WARN),
    ],
)
def test_limits_that_are_too_low_are_told(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    files: int,
    processes: int,
    verdict: Verdict,
) -> None:
    allowed = {resource.RLIMIT_NOFILE: files, resource.RLIMIT_NPROC: processes}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (allowed[kind], allowed[kind]))
    assert host.limits(place).verdict is verdict


def test_git_is_wanted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.programs(place).verdict is Verdict.OK
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    found = host.programs(place)
    assert found.verdict is Verdict.WARN
    assert "git" in found.found
