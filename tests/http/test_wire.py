"""What no well-behaved client sends: bytes on a socket, paths that mean something else, methods.

Every answer is sane, and nobody else notices.
"""

import json
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pytest

from tallystick.api.app import ENDPOINTS
from tallystick.testing.server import eventually
from tests.http.door import MAX_BODY_BYTES, Door
from tests.http.test_access import OPEN

PATIENCE_SECONDS: Final = 30.0


def exchange(door: Door, content: bytes, *, answers: int = 1) -> list[tuple[int, bytes]]:
    """Status and body of so many answers to these bytes; fewer when the line is cut."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE_SECONDS) as line:
        with suppress(BrokenPipeError, ConnectionResetError):  # it may be refused before its end
            line.sendall(content)
        return read(line, answers, has_body=not content.startswith(b"HEAD "))


def read(line: socket.socket, answers: int, *, has_body: bool = True) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    received = b""
    while len(found) < answers:
        head, separator, rest = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        needed = int(length[1]) if length and has_body else 0
        if separator and len(rest) >= needed:
            found.append((int(head.split()[1]), rest[:needed]))
            received = rest[needed:]
            continue
        try:
            part = line.recv(65_536)
        except ConnectionResetError:
            part = b""
        if not part:
            return found
        received += part
    return found


def head(door: Door, start: str, *more: str, host: str = "127.0.0.1") -> bytes:
    lines = [start, f"Host: {host}", f"X-Auth-Token: {door.token('agent')}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunked(content: bytes, size: int = 65_536) -> bytes:
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


WILD: Final = "POST /sweeps/wild HTTP/1.1"
BODY: Final = b'{"name": "n", "chat_session_id": "c"}'


def test_a_body_may_be_as_long_as_the_limit_and_not_a_byte_longer(door: Door) -> None:
    for size, status in ((MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)):
        content = BODY + b" " * (size - len(BODY))
        assert door.call("POST", "/sweeps/wild", content=content).status_code == status
        streamed = head(door, WILD, "Transfer-Encoding: chunked") + chunked(content)
        ((found, _),) = exchange(door, streamed)
        assert found == status


def test_a_body_that_never_ends_is_refused_at_the_limit(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE_SECONDS) as line:
        line.sendall(head(door, WILD, "Transfer-Encoding: chunked"))
        part = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        for _ in range(4 * MAX_BODY_BYTES // 65_536):
            try:
                line.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                break
        ((status, content),) = read(line, 1)
    assert (status, json.loads(content)["code"]) == (413, "body_too_large")


def test_a_length_that_is_announced_is_refused_before_it_is_sent(door: Door) -> None:
    announced = head(door, WILD, f"Content-Length: {10**12}")
    ((status, content),) = exchange(door, announced)
    assert (status, json.loads(content)["limit_bytes"]) == (413, MAX_BODY_BYTES)


def test_those_who_dawdle_hold_up_nobody_and_leave_nothing(door: Door) -> None:
    before = door.server.ledger.size
    lines = []
    for number in range(100):
        line = socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE_SECONDS)
        content = head(door, WILD, f"Content-Length: {len(BODY)}") + BODY[:-1]
        line.sendall(content[: len(content) - number])
        lines.append(line)
    started = time.monotonic()
    assert door.call("GET", "/runs").status_code == 200
    assert time.monotonic() - started < PATIENCE_SECONDS / 3
    for line in lines:
        line.close()
    assert door.call("GET", "/runs").status_code == 200
    assert door.server.ledger.size == before


@pytest.mark.parametrize(
    "more",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: -1"],
        ["Content-Length: 5x"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: gzip"],
        ["Bad Header: x"],
        ["Content-Length : 5"],
        ["X-A: a\x00b"],
        [" folded: x"],
    ],
)
def test_a_request_that_two_readers_may_read_differently_creates_nothing(
    door: Door, more: list[str]
) -> None:
    before = door.server.ledger.size
    smuggled = b"0\r\n\r\nGET /tokens HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    answers = exchange(door, head(door, WILD, *more) + smuggled)
    assert all(400 <= status < 500 for status, _ in answers), answers
    assert door.server.ledger.size == before


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"\x00" * 100 + b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
)
def test_what_is_no_request_is_told_so_and_nobody_else_notices(door: Door, content: bytes) -> None:
    answers = exchange(door, content)
    assert all(400 <= status < 506 and status != 500 for status, _ in answers), answers
    assert door.call("GET", "/health").status_code == 200


def test_ten_thousand_headers_are_answered(door: Door) -> None:
    more = [f"X-Filler-{number}: {'x' * 20}" for number in range(10_000)]
    answers = exchange(door, head(door, "GET /runs HTTP/1.1", *more))
    assert [status for status, _ in answers] in ([200], [400], [431])


def test_a_url_of_a_megabyte_is_answered(door: Door) -> None:
    for path in ("/runs/" + "x" * 1_000_000, "/runs?cursor=" + "1" * 1_000_000, "/" * 500_000):
        answers = exchange(door, head(door, f"GET {path} HTTP/1.1"))
        assert all(400 <= status < 500 for status, _ in answers), path[:20]


def test_requests_in_a_row_are_answered_in_a_row(door: Door) -> None:
    first = head(door, WILD, f"Content-Length: {len(BODY)}") + BODY
    second = head(door, "GET /nope HTTP/1.1")
    third = head(door, "GET /policy HTTP/1.1")
    answers = exchange(door, first + second + third, answers=3)
    assert [status for status, _ in answers] == [200, 404, 200]


def test_an_old_client_is_answered(door: Door) -> None:
    ((status, content),) = exchange(door, head(door, "GET /health HTTP/1.0"))
    assert (status, json.loads(content)["service"]) == (200, "tallystick")
    ((status, content),) = exchange(door, b"GET /health HTTP/1.0\r\n\r\n")
    assert (status, json.loads(content)["code"]) == (403, "host_not_allowed")


def test_a_wish_for_another_protocol_is_not_granted(door: Door) -> None:
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    ((status, _),) = exchange(door, head(door, "GET /events?after=x HTTP/1.1", *upgrade, key))
    assert status in {403, 422, 426}


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json; charset=utf-16",
        "APPLICATION/JSON",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "x" * 2_000,
        "",
    ],
)
def test_a_body_is_json_in_utf_8_whatever_it_is_called(door: Door, kind: str) -> None:
    headers = {"Content-Type": kind}
    content = '{"name": "\u00fc", "chat_session_id": "c"}'
    answer = door.call("POST", "/sweeps/wild", content=content.encode(), headers=headers)
    assert (answer.status_code, answer.json().get("name")) == (200, "\u00fc")
    wrong = door.call("POST", "/sweeps/wild", content=content.encode("latin-1"), headers=headers)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "body_malformed")


TRICKS: Final[dict[str, Callable[[str], str]]] = {
    "slash after": lambda path: f"{path}/",
    "two slashes": lambda path: f"/{path}",
    "dot": lambda path: f"/.{path}",
    "dots": lambda path: f"/docs/..{path}",
    "encoded dots": lambda path: f"/docs/%2e%2e{path}",
    "encoded slash": lambda path: f"/docs/%2e%2e%2f{path[1:]}",
    "open parent": lambda path: f"/prompt-skills/..{path}",
    "open files": lambda path: f"/prompt-skills/tallystick-protocol/files/../../..{path}",
    "open, encoded": lambda path: f"/prompt-skills/x/files/%2e%2e/%2e%2e/%2e%2e{path}",
    "twice encoded": lambda path: f"/docs/%252e%252e%252f{path[1:]}",
    "all encoded": lambda path: "/" + "".join(f"%{ord(char):02x}" for char in path[1:]),
    "backslash": lambda path: path.replace("/", "\\"),
    "nul": lambda path: f"{path}%00",
    "open suffix": lambda path: f"{path}/health",
    "parameter": lambda path: f"{path};/health",
    "fragment": lambda path: f"/health%23{path}",
    "query": lambda path: f"{path}?/health",
    "capitals": str.upper,
    "blank": lambda path: f"{path}%20",
    "absolute": lambda path: f"http://127.0.0.1{path}",
    "elsewhere": lambda path: f"http://evil.example{path}",
}


@pytest.mark.parametrize("trick", list(TRICKS))
def test_no_spelling_of_a_path_opens_a_closed_route(door: Door, trick: str) -> None:
    before = door.server.ledger.size
    for endpoint in ENDPOINTS:
        if endpoint.path in OPEN:
            continue
        path = TRICKS[trick](endpoint.path.replace("{", "").replace("*}", "").replace("}", ""))
        request = f"{endpoint.method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for status, content in exchange(door, request.encode()):
            assert 400 <= status < 500, (path, status, content[:200])
    assert door.server.ledger.size == before


@pytest.mark.parametrize(
    "method", ["OPTIONS", "HEAD", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "QUERY", "get"]
)
def test_other_methods_do_nothing_on_any_route(door: Door, method: str) -> None:
    before = door.server.ledger.size
    for path in {item.path for item in ENDPOINTS}:
        plain = re.sub(r"\{(\w+)\*?\}", r"\1", path)
        request = head(door, f"{method} {plain} HTTP/1.1", "Content-Length: 0")
        for status, content in exchange(door, request.replace(b"X-Auth-Token", b"X-Nothing")):
            assert status < 500, (path, content)
            if method == "HEAD":
                assert (status < 300) <= (path in OPEN), path
            else:
                assert status >= 400, path
    assert door.server.ledger.size == before


@pytest.mark.parametrize("name", ["token", "X-Auth-Token", "access_token", "auth_token"])
def test_a_token_counts_in_a_header_and_nowhere_else(door: Door, name: str) -> None:
    secret = door.token("admin")
    answer = door.call(
        "GET", f"/runs?{name}={secret}", token=None, headers={"Cookie": f"{name}={secret}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
    assert secret not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "evil.example:80",
        "localhost.evil.example", "127.0.0.2", "0.0.0.0", "2130706433", "0x7f.1", "[::ffff:1.2.3]",
        "localhost.", "LOCALHOST.evil", "", "127.0.0.1, evil.example", "evil.example#127.0.0.1",
    ],
)  # fmt: skip
def test_a_page_elsewhere_reaches_nothing_by_another_name(door: Door, host: str) -> None:
    for start in ("GET /health HTTP/1.1", "GET /runs HTTP/1.1", WILD):
        ((status, content),) = exchange(door, head(door, start, "Content-Length: 0", host=host))
        assert (status, json.loads(content)["code"]) == (403, "host_not_allowed")


def test_a_page_elsewhere_is_never_told_that_it_may_read(door: Door) -> None:
    preflight = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "X-Auth-Token",
    }
    for method, path in (("OPTIONS", "/runs"), ("GET", "/runs"), ("GET", "/health")):
        answer = door.call(method, path, headers=preflight)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert door.call("OPTIONS", "/runs", headers=preflight).status_code == 405


def test_whoever_hangs_up_during_an_answer_leaves_the_others_alone(door: Door) -> None:
    for _ in range(20):
        line = socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE_SECONDS)
        line.sendall(head(door, "GET /events?after=-1 HTTP/1.1"))
        line.close()
    eventually(lambda: door.call("GET", "/health").status_code == 200)
    assert door.problems() == []
