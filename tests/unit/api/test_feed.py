import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tallystick.api import feed
from tallystick.errors import InvalidError
from tests.unit.api.in_process import Api


class Listener:
    """Listens to /events through the application itself; every event as (id, type, entry)."""

    def __init__(self, api: Api, query: str, *, token: str = "", headers: Any = ()) -> None:
        self._api = api
        self._scope = {
            "type": "http", "method": "GET", "path": "/events", "raw_path": b"/events",
            "query_string": query.encode(), "http_version": "1.1", "scheme": "http",
            "headers": [
                (b"host", b"127.0.0.1"), (b"x-auth-token", (token or api.agent).encode()), *headers,
            ],
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }  # fmt: skip

    async def take(self, count: int) -> list[tuple[int, str, Any]]:
        """The first `count` events, or all of them when the stream ends before."""
        sent: asyncio.Queue[Any] = asyncio.Queue()
        gone = asyncio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        task = asyncio.ensure_future(self._api.server.app(self._scope, receive, sent.put))
        found: list[tuple[int, str, Any]] = []
        text = ""
        while len(found) < count:
            message = await asyncio.wait_for(sent.get(), 20)
            if message["type"] == "http.response.start":
                continue
            text += message.get("body", b"").decode()
            *blocks, text = text.split("\n\n")
            found += [event(block) for block in blocks if not block.startswith(":")]
            if not message.get("more_body", False):
                break
        gone.set()
        await task
        return found


def event(block: str) -> tuple[int, str, Any]:
    lines = dict(line.split(": ", 1) for line in block.splitlines())
    return int(lines["id"]), lines["event"], json.loads(lines["data"])


def test_the_whole_ledger_can_be_listened_to(api: Api) -> None:
    api.sweep()
    size = api.get("/health")["ledger_size"]
    found = api.run(Listener(api, "after=-1").take(size))
    assert [number for number, _, _ in found] == list(range(size))
    assert all(entry["seq"] == number for number, _, entry in found)
    assert all(entry["type"] == kind for _, kind, entry in found)


def test_new_entries_arrive_while_somebody_listens(api: Api) -> None:
    async def listen() -> list[tuple[int, str, Any]]:
        listening = asyncio.ensure_future(Listener(api, "session=heard").take(2))
        await asyncio.sleep(0)
        body = {"chat_session_id": "heard"}
        while not listening.done():
            await api._call("POST", "/sweeps/wild", json=body)
        return await listening

    found = api.run(listen())
    assert {kind for _, kind, _ in found} <= {"session.opened", "sweep.created"}
    assert {entry["session"] for _, _, entry in found} == {"heard"}


def test_a_listener_resumes_after_what_it_has_seen(api: Api) -> None:
    sweep = api.sweep()
    headers = [(b"last-event-id", str(sweep["seq"] - 1).encode())]
    ((number, kind, entry),) = api.run(Listener(api, "", headers=headers).take(1))
    assert (number, kind, entry["stream"]) == (sweep["seq"], "sweep.created", sweep["id"])


def test_only_one_sweep_can_be_listened_to(api: Api) -> None:
    sweep = api.sweep()
    api.sweep()
    run = api.register(sweep_id=sweep["id"])
    query = f"after={sweep['seq'] - 1}&sweep={sweep['id']}"
    found = api.run(Listener(api, query).take(2))
    assert [entry["stream"] for _, _, entry in found] == [sweep["id"], run["id"]]


def test_a_stream_ends_when_its_token_is_revoked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "HEARTBEAT_SECONDS", 0.05)
    made = api.post("/tokens", {"role": "agent"}, token="admin")

    async def listen() -> int:
        listener = Listener(api, "session=nobody", token=made["token"])
        listening = asyncio.ensure_future(listener.take(1))
        await asyncio.sleep(0.01)
        await api._call("POST", f"/tokens/{made['id']}/revoke", token="admin")
        return len(await asyncio.wait_for(listening, 10))

    assert api.run(listen()) == 0


def test_a_quiet_stream_says_that_it_is_there(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "HEARTBEAT_SECONDS", 0.01)

    async def allowed() -> bool:
        return True

    async def first() -> bytes:
        frames: AsyncIterator[bytes] = feed.entries(
            api.server.app.services,
            after=10**9,
            wanted=feed.Filter(),
            allowed=allowed,
        )
        async for frame in frames:
            return frame
        return b""

    assert api.run(first()) == feed.HEARTBEAT


@pytest.mark.parametrize(("text", "number"), [(None, None), ("", None), (" 12 ", 12)])
def test_a_position_is_read(text: str | None, number: int | None) -> None:
    assert feed.last_event_id(text) == number


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 19, "٣"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        feed.last_event_id(text)
