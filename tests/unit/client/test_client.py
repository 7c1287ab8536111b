"""The SDK's promises: pages are followed, waits and followed output outlast a restart."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tallystick import Client
from tallystick.client.transport import Request, Response
from tallystick.errors import UnavailableError
from tallystick.testing.clock import ManualClock
from tests.unit.client.scripted_server import as_json, serving

RUN: dict[str, Any] = {
    "id": "run_0123456789ab",
    "name": "n",
    "command": "true",
    "workdir": "/w",
    "status": "running",
    "created_at": 1.0,
    "seq": 5,
    "changed_seq": 5,
}


class Playing:
    """A transport that answers from a function, and raises what that raises."""

    def __init__(self, play: Callable[[str, dict[str, str]], Any]) -> None:
        self.play = play
        self.asked: list[Request] = []

    def send(self, request: Request) -> Response:
        self.asked.append(request)
        parts = urlsplit(request.target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        answer = self.play(parts.path, query)
        if isinstance(answer, Iterator):
            return Response(status=200, headers={}, chunks=answer)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return Response(status=200, headers={}, chunks=iter((body,)))


def client(play: Callable[[str, dict[str, str]], Any]) -> tuple[Client, Playing]:
    transport = Playing(play)
    return Client(token="t", session="s", transport=transport, clock=ManualClock()), transport


def test_pages_are_fetched_only_as_far_as_they_are_asked_for() -> None:
    def play(_path: str, query: dict[str, str]) -> Any:
        start = int(query.get("cursor") or 1000)
        count = int(query["limit"])
        return {
            "items": [{**RUN, "seq": start - n} for n in range(count)],
            "next_cursor": str(start - count),
        }

    speaking, transport = client(play)
    runs = speaking.runs()
    assert next(runs).seq == 1000
    assert len(transport.asked) == 1
    assert [run.seq for run in speaking.runs(limit=250)] == list(range(1000, 750, -1))
    asked = [parse_qs(r.target.partition("?")[2], keep_blank_values=True) for r in transport.asked]
    assert [(query["cursor"], query["limit"]) for query in asked[1:]] == [
        ([""], ["100"]),
        (["900"], ["100"]),
        (["800"], ["50"]),
    ]


def test_the_last_page_ends_the_list() -> None:
    speaking, transport = client(lambda _path, _query: {"items": [RUN], "next_cursor": None})
    assert len(list(speaking.runs())) == 1
    assert len(transport.asked) == 1


def test_every_creating_request_carries_the_session() -> None:
    speaking, transport = client(lambda _path, _query: RUN)
    speaking.create_run("n", "true", sweep="swp_0123456789ab")
    speaking.rerun_run(RUN["id"])
    assert [json.loads(r.body or b"")["chat_session_id"] for r in transport.asked] == ["s", "s"]


def test_a_wait_outlasts_a_server_that_is_away_for_a_while() -> None:
    answers: list[Any] = [
        RUN,
        UnavailableError("away"),
        UnavailableError("away"),
        RUN,
        {**RUN, "status": "finished", "outcome": "succeeded"},
    ]

    def play(_path: str, _query: dict[str, str]) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    speaking, transport = client(play)
    assert speaking.wait_run(RUN["id"]).outcome == "succeeded"
    assert not answers
    assert "wait=" not in transport.asked[0].target
    assert "wait=50" in transport.asked[1].target


def test_a_wait_ends_with_the_run_as_it_is_when_the_time_is_up() -> None:
    speaking, _transport = client(lambda _path, _query: RUN)
    assert speaking.wait_run(RUN["id"], timeout_seconds=0).status == "running"


WRITTEN = "größe 1\n".encode() + b"\xff\xfe raw \x00 bytes\n" + b"x" * 40 + b"\nthe end"


def frame(message: dict[str, str], position: int) -> bytes:
    return b"id: %d\ndata: %s\n\n" % (position, json.dumps(message).encode())


class Following:
    """Output as the server streams it, cut off again and again, absent in between."""

    def __init__(self, *, piece: int, cut_after: int, away: int) -> None:
        self.piece, self.cut_after, self.away = piece, cut_after, away
        self.absent = 0

    def play(self, path: str, query: dict[str, str]) -> Any:
        if self.absent > 0:
            self.absent -= 1
            raise UnavailableError("away")
        offset = int(query["offset"])
        if path.endswith("/logs"):
            assert query["format"] == "raw"
            return WRITTEN[offset : offset + int(query["limit"])]
        return self.stream(offset)

    def stream(self, offset: int) -> Iterator[bytes]:
        for _ in range(self.cut_after):
            piece = WRITTEN[offset : offset + self.piece]
            offset += len(piece)
            yield frame({"type": "delta", "content": piece.decode(errors="replace")}, offset)
            if offset == len(WRITTEN):
                yield frame({"type": "done", "status": "finished"}, offset)
                return
        self.absent = self.away
        raise UnavailableError("cut off")


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
@pytest.mark.parametrize(("cut_after", "away"), [(1000, 0), (1, 0), (2, 3)])
def test_followed_output_is_exact_whatever_happens_to_the_server(
    piece: int, cut_after: int, away: int
) -> None:
    following = Following(piece=piece, cut_after=cut_after, away=0)
    speaking, _transport = client(following.play)
    chunks = []
    for chunk in speaking.follow_logs(RUN["id"]):
        chunks.append(chunk)
        following.away = away
    assert b"".join(chunks) == WRITTEN


def test_output_can_be_followed_from_an_offset() -> None:
    speaking, _transport = client(Following(piece=5, cut_after=99, away=0).play)
    assert b"".join(speaking.follow_logs(RUN["id"], offset=3)) == WRITTEN[3:]


def test_without_following_what_is_there_is_read_and_no_more() -> None:
    speaking, transport = client(Following(piece=5, cut_after=99, away=0).play)
    assert b"".join(speaking.follow_logs(RUN["id"], until_end=False)) == WRITTEN
    assert all("/logs?" in request.target for request in transport.asked)


def test_following_without_a_server_says_so_at_once() -> None:
    def away(_path: str, _query: dict[str, str]) -> Any:
        raise UnavailableError("away")

    speaking, transport = client(away)
    for call in (speaking.follow_logs(RUN["id"]), speaking.events()):
        with pytest.raises(UnavailableError):
            next(iter(call))
    with pytest.raises(UnavailableError):
        speaking.wait_run(RUN["id"])
    assert len(transport.asked) == 3


def test_events_go_on_after_the_last_one_seen() -> None:
    asked: list[str | None] = []

    def play(_path: str, query: dict[str, str]) -> Any:
        asked.append(query.get("after"))
        first = int(query.get("after", 6)) + 1
        event = b"id: %d\nevent: run.queued\ndata: {}\n\n"
        return b": still here\n\n" + event % first + event % (first + 1) + b"id: 99\nda"

    speaking, _transport = client(play)
    events = speaking.events(session="s")
    assert [next(events).seq for _ in range(6)] == [7, 8, 9, 10, 11, 12]
    assert asked == [None, "8", "10"]


def test_the_sdk_speaks_to_a_real_socket() -> None:
    with serving(lambda _seen: as_json(RUN)) as server:
        with Client(server.url, token="t", session="s") as speaking:
            assert speaking.run(RUN["id"]).id == RUN["id"]
        assert server.seen[0].headers["authorization"] == "Bearer t"


def test_more_events_than_a_call_takes_are_acknowledged_in_several() -> None:
    speaking, transport = client(lambda _path, _query: {"resolved": 1})
    assert speaking.resolve_events([f"evt_{n}" for n in range(1_001)]) == 2
    sent = [json.loads(request.body or b"") for request in transport.asked]
    assert [len(body["event_ids"]) for body in sent] == [1_000, 1]
    assert sent[1]["event_ids"] == ["evt_1000"]
