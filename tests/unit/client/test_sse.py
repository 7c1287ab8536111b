"""Server-sent events come out whole, wherever the pieces were cut."""

import pytest

from tallystick.client.sse import ServerEvent, server_events

STREAM = (
    ": hello\n\n"
    "id: 7\nevent: run.queued\ndata: {}\n\n"
    "data: one\ndata: two\n\n"
    "id: 8\r\ndata:no space\r\n\r\n"
    "id: 9\ndata: größe\n\n"
    "data: cut short\n"
).encode()

EXPECTED = [
    ServerEvent(id="7", event="run.queued", data="{}"),
    ServerEvent(id="7", event="message", data="one\ntwo"),
    ServerEvent(id="8", event="message", data="no space"),
    ServerEvent(id="9", event="message", data="größe"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_do_not_depend_on_where_the_body_was_cut(size: int) -> None:
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert list(server_events(pieces)) == EXPECTED


def test_an_event_without_data_is_none() -> None:
    assert list(server_events([b"event: ping\n\n", b"id: 3\n\n"])) == []
