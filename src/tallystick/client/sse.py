"""Server-sent events out of a body that arrives in pieces (WHATWG HTML, 9.2.6)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event."""

    id: str | None
    """The last id that was seen, for resuming."""
    event: str
    data: str


def server_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Whole events; one that the end of the stream cuts short is left out, comments are skipped."""
    last_id: str | None = None
    name, data = "message", list[str]()
    for line in _lines(chunks):
        if not line:
            if data:
                yield ServerEvent(id=last_id, event=name, data="\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id":
            last_id = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines without their end, whichever of LF and CRLF it is; the unfinished last one is not."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode(errors="replace")
