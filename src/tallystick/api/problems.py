"""Errors as problem documents (RFC 9457); the one table of codes is `tallystick.wire.problem`.

A refusal teaches: what was expected, what was found, what to call instead. A fault of ours reveals
nothing but an incident id, under which the whole story stands in the log.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.clock import Clock
from tallystick.errors import Refusal, TallystickError, UnauthenticatedError, UnavailableError
from tallystick.wire import problem

_log = logging.getLogger(__name__)


class TooLargeError(Refusal):
    """The request body is too large."""

    default_code = "body_too_large"


class MethodError(Refusal):
    """This path does not know that method."""

    default_code = "method_not_allowed"


class RangeError(Refusal):
    """There are no such bytes in this file."""

    default_code = "range_not_satisfiable"


_STATUS_HERE: Final[Mapping[type[TallystickError], int]] = {
    TooLargeError: 413,
    MethodError: 405,
    RangeError: 416,
}
"""Refusals that only HTTP knows."""


def status_of(error: TallystickError) -> int:
    """HTTP status of an error."""
    return _STATUS_HERE.get(type(error)) or problem.status_of(error)


def answer(
    error: TallystickError,
    *,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """The problem document of an error, with the headers that go with it.

    `members` are what clients of another protocol look for in an error, added to the document.
    """
    status = status_of(error)
    document = problem.document(error, status=status) | dict(members or {})
    if status == 422 and not document["next_actions"]:
        document["next_actions"] = ["GET /openapi.json describes the fields of every call"]
    content = answers.encode(document)
    extra = dict(headers or {})
    if isinstance(error, UnauthenticatedError):
        extra["www-authenticate"] = 'Bearer realm="tallystick"'
    if isinstance(error, UnavailableError):
        extra["retry-after"] = str(max(1, round(error.retry_after_seconds)))
    return Response(content, status, media_type=problem.MEDIA_TYPE, headers=extra)


def incident(error: Exception, *, clock: Clock, call: str) -> TallystickError:
    """A fault of ours: logged whole under an id, told without any of it."""
    number = clock.new_id("inc")
    _log.error("incident %s in %s", number, call, exc_info=error)
    return TallystickError(
        f"something went wrong inside the server; it is logged as {number}",
        code="internal_error",
        hint="the request may or may not have taken effect; with an Idempotency-Key it can "
        "be repeated safely",
        incident=number,
    )


def schema() -> dict[str, Any]:
    """The problem document in the OpenAPI document."""
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "What was expected, what was found, what to call instead (RFC 9457). "
        "Further members hold the facts of the case.",
        "required": ["type", "title", "status", "detail", "code", "next_actions"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": {**text, "description": "For people and agents, in words."},
            "code": {**text, "description": "Stable, for programs."},
            "hint": {**text, "nullable": True},
            "next_actions": {
                "type": "array",
                "items": text,
                "description": "Calls that make sense now.",
            },
        },
        "additionalProperties": True,
    }
