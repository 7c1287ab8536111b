"""What is sent again, what is not, and over how many connections."""

import os
import threading

import pytest

from tallystick.client.transport import HttpTransport, Request, _unreachable
from tallystick.errors import UnavailableError
from tallystick.testing.clock import ManualClock
from tests.unit.client.scripted_server import (
    DROP,
    Answer,
    ScriptedServer,
    Seen,
    free_port,
    serving,
)


def transport_to(server: ScriptedServer) -> HttpTransport:
    return HttpTransport(lambda: server.url, clock=ManualClock())


def get(target: str = "/", **kwargs: object) -> Request:
    return Request(method="GET", target=target, repeatable=True, **kwargs)  # type: ignore[arg-type]


def test_one_connection_serves_many_requests() -> None:
    with serving(lambda _seen: Answer(body=b"x")) as server:
        transport = transport_to(server)
        assert [transport.send(get()).body() for _ in range(5)] == [b"x"] * 5
        assert len({seen.connection for seen in server.seen}) == 1


def test_a_create_with_its_key_is_sent_again_when_the_connection_breaks() -> None:
    answers = [DROP, Answer(body=b"made")]
    with serving(lambda _seen: answers.pop(0)) as server:
        request = Request(
            method="POST",
            target="/runs",
            body=b"{}",
            headers={"Idempotency-Key": "k"},
            repeatable=True,
        )
        assert transport_to(server).send(request).body() == b"made"
        assert [seen.headers["idempotency-key"] for seen in server.seen] == ["k", "k"]


def test_what_is_not_harmless_twice_is_sent_once() -> None:
    with serving(lambda _seen: DROP) as server:
        request = Request(method="POST", target="/runs/x/metrics", body=b"{}")
        with pytest.raises(UnavailableError) as caught:
            transport_to(server).send(request)
        assert caught.value.code == "connection_lost"
        assert len(server.seen) == 1


def test_what_never_left_is_sent_again_even_when_it_is_not_harmless_twice() -> None:
    port = free_port()
    with serving(lambda _seen: Answer(body=b"arrived")) as server:
        bases = [f"http://127.0.0.1:{port}", server.url]
        transport = HttpTransport(lambda: bases.pop(0), clock=ManualClock())
        assert transport.send(Request(method="POST", target="/x")).body() == b"arrived"


def test_a_server_that_does_not_listen_is_unavailable_after_three_tries() -> None:
    asked = []

    def base() -> str:
        asked.append(1)
        return f"http://127.0.0.1:{port}"

    port = free_port()
    with pytest.raises(UnavailableError) as caught:
        HttpTransport(base, clock=ManualClock()).send(get())
    assert caught.value.code == "server_unreachable"
    assert "tally up" in str(caught.value.hint)
    assert len(asked) == 3


def test_whoever_may_not_open_connections_is_told_of_the_sandbox() -> None:
    denied = PermissionError(1, "Operation not permitted")
    error = _unreachable("http://127.0.0.1:1", denied, sent=False)
    assert error.code == "server_unreachable"
    assert "network_access = true" in str(error.hint)


def test_a_server_that_came_back_on_another_port_is_found() -> None:
    with serving(lambda _seen: Answer(body=b"old")) as old:
        current = [old.url]
        transport = HttpTransport(lambda: current[0], clock=ManualClock())
        assert transport.send(get()).body() == b"old"
    with serving(lambda _seen: Answer(body=b"new")) as new:
        current[0] = new.url
        assert transport.send(get()).body() == b"new"


def test_an_idle_connection_that_the_server_closed_is_not_used() -> None:
    with serving(lambda _seen: Answer(headers={"connection": "close"})) as server:
        transport = transport_to(server)
        for _ in range(3):
            transport.send(Request(method="POST", target="/not-repeatable"))
        assert len({seen.connection for seen in server.seen}) == 3


def test_a_server_that_is_silent_runs_into_the_time_limit_and_is_asked_once() -> None:
    hold = threading.Event()

    def silent(_seen: Seen) -> Answer:
        hold.wait(10)
        return Answer()

    with serving(silent) as server:
        with pytest.raises(UnavailableError) as caught:
            transport_to(server).send(get(timeout_seconds=0.05))
        hold.set()
        assert caught.value.code == "timeout"
        assert len(server.seen) == 1


def test_a_refusal_is_an_answer_not_an_error_of_the_transport() -> None:
    with serving(lambda _seen: Answer(status=409, body=b"no")) as server:
        response = transport_to(server).send(get())
        assert (response.status, response.body()) == (409, b"no")


def test_a_stream_is_handed_out_and_its_connection_is_not_kept() -> None:
    with serving(lambda _seen: Answer(body=b"abc" * 100_000)) as server:
        transport = transport_to(server)
        chunks = list(transport.send(get(stream=True)).chunks)
        assert b"".join(chunks) == b"abc" * 100_000
        assert len(chunks) > 1
        transport.send(get())
        assert len({seen.connection for seen in server.seen}) == 2


def test_a_path_in_the_servers_url_is_kept() -> None:
    with serving(lambda _seen: Answer()) as server:
        HttpTransport(lambda: server.url + "/behind/proxy").send(get("/runs?limit=1"))
        assert server.seen[0].target == "/behind/proxy/runs?limit=1"


def test_a_forked_child_leaves_the_parents_connection_alone() -> None:
    with serving(lambda _seen: Answer(body=b"x")) as server:
        transport = transport_to(server)
        transport.send(get())
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if transport.send(get("/child")).body() == b"x" else 1
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        transport.send(get("/parent"))
        by_target = {seen.target: seen.connection for seen in server.seen}
        assert by_target["/child"] != by_target["/"] == by_target["/parent"]
