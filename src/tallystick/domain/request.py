"""Requests that carried an Idempotency-Key: the same key and body is the same request."""

from dataclasses import dataclass

from tallystick.domain.events import Record
from tallystick.domain.ids import RequestMark
from tallystick.errors import ConflictError


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """What a creating request with a key made."""

    id: str
    """Digest of token, path and key."""
    body: str
    subject: str
    seq: int


def check_repeat(seen: SeenRequest, mark: RequestMark) -> SeenRequest:
    """The original of a repeated request; raises `ConflictError` when the body is another."""
    if seen.body != mark.b:
        raise ConflictError(
            "this Idempotency-Key was used before with another body",
            code="idempotency_key_reused",
            hint="send a new key with a new request, and the same key only to repeat one",
            subject=seen.subject,
        )
    return seen


def seen(record: Record, mark: RequestMark) -> SeenRequest:
    """State after a creating entry that carries a mark."""
    return SeenRequest(id=mark.k, body=mark.b, subject=record.stream, seq=record.seq)
