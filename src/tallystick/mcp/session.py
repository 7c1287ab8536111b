"""Which conversation a tool call belongs to, and who said so (P1.1).

The sources in their order: the argument (the agent's own, or put there by a hook), what the agent's
program adds to every request, a header, the environment of a process that the agent started; then
the session that the token is bound to, which the server knows. What is no id counts as not said.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tallystick.client.config import SESSION_VARIABLES, first_of
from tallystick.domain.policy import is_placeholder

HEADER: Final = "x-tallystick-session"
ARGUMENT: Final = "chat_session_id"
THREAD: Final = "threadId"
"""Of a request's `_meta`: the conversation, as Codex calls it."""
TURN: Final = "x-codex-turn-metadata"
"""Of a request's `_meta`: an object, or one in JSON, with the conversation under other names."""


class Source(StrEnum):
    """Who named the conversation."""

    ARGUMENT = "argument"
    REQUEST = "request"
    HEADER = "header"
    ENVIRONMENT = "environment"
    TOKEN = "token"  # noqa: S105 - where it comes from, not what it is
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A conversation, and where it stood; an empty `id` leaves it to the token."""

    id: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where one request may name its conversation."""

    argument: str | None = None
    meta: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    environment: Mapping[str, str] | None = None


def find(places: Places) -> Found:
    """The first source that names a conversation.

    An unexpanded variable (`$CHAT_SESSION_ID`) names none while another source does; alone it is
    sent as it stands, and the server says what is wrong with it (P1.3).
    """
    named = [
        (places.argument, Source.ARGUMENT),
        (_of_request(places.meta or {}), Source.REQUEST),
        ((places.headers or {}).get(HEADER), Source.HEADER),
        (first_of(places.environment or {}, SESSION_VARIABLES), Source.ENVIRONMENT),
    ]
    said = [(text.strip(), source) for text, source in named if text is not None and text.strip()]
    for text, source in (*(item for item in said if not is_placeholder(item[0])), *said):
        return Found(id=text, source=source)
    return Found(id="", source=Source.TOKEN)


def _of_request(meta: Mapping[str, Any]) -> str | None:
    """What the agent's program says of the conversation with every request."""
    thread = meta.get(THREAD)
    if isinstance(thread, str):
        return thread
    turn = _object(meta.get(TURN))
    known = (turn.get(name) for name in ("session_id", "thread_id"))
    return next((name for name in known if isinstance(name, str)), None)


def _object(value: Any) -> Mapping[str, Any]:
    """An object, or the one that stands in JSON; empty for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}
