"""The protocol text as it is served: its digest is a fact (P7.6)."""

from dataclasses import dataclass

from tallystick.domain.commands import PublishProtocol
from tallystick.domain.events import Fact, ProtocolPublished, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The newest digest of one text."""

    id: str
    sha256: str
    published_at: int
    published_seq: int


def stream_of(skill: str) -> str:
    """The stream of one text."""
    return f"protocol:{skill}"


def decide_publish(state: Publication | None, command: PublishProtocol) -> list[Fact]:
    """A digest is written when it is new."""
    if state is not None and state.sha256 == command.sha256:
        return []
    return [Fact(stream_of(command.skill), ProtocolPublished(sha256=command.sha256))]


def published(record: Record, event: ProtocolPublished) -> Publication:
    """State after `protocol.published`."""
    return Publication(
        id=record.stream.removeprefix("protocol:"),
        sha256=event.sha256,
        published_at=record.ts,
        published_seq=record.seq,
    )
