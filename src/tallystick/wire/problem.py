"""The error document (RFC 9457) and its code list, shared by the server and its clients."""

from collections.abc import Mapping
from typing import Any

from tallystick.errors import (
    ConflictError,
    CorruptLedgerError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    PolicyError,
    TallystickError,
    UnauthenticatedError,
    UnavailableError,
)

MEDIA_TYPE = "application/problem+json"

STATUS_OF: Mapping[type[TallystickError], int] = {
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    PolicyError: 422,
    InvalidError: 422,
    UnavailableError: 503,
    CorruptLedgerError: 500,
}
"""Forwards in the server, backwards in the client: both sides raise the same class."""

TITLE_OF: Mapping[int, str] = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "Refused",
    500: "Internal error",
    503: "Unavailable",
}

_OWN_KEYS = frozenset({"type", "title", "status", "detail", "code", "hint", "next_actions"})


def document(error: TallystickError, *, status: int | None = None) -> dict[str, Any]:
    """The problem document of an error."""
    number = status or status_of(error)
    return {
        "type": f"urn:tallystick:problem:{error.code}",
        "title": TITLE_OF.get(number, "Error"),
        "status": number,
        "detail": error.detail,
        "code": error.code,
        "hint": error.hint,
        "next_actions": list(error.next_actions),
        **{key: value for key, value in error.facts.items() if key not in _OWN_KEYS},
    }


def status_of(error: TallystickError) -> int:
    """HTTP status of an error; 500 for one that is nobody's fault but ours."""
    for shape, status in STATUS_OF.items():
        if isinstance(error, shape):
            return status
    return 500


def error_of(status: int, body: Mapping[str, Any]) -> TallystickError:
    """The error that a server meant: the same class, detail, code and facts."""
    code = str(body.get("code") or "error")
    shapes = [shape for shape, number in STATUS_OF.items() if number == status]
    shape = shapes[0] if shapes else TallystickError
    if status == 422 and code not in {"policy", "session_required", "sweep_required"}:
        shape = InvalidError
    if status >= 500 and code != CorruptLedgerError.default_code:
        shape = UnavailableError
    facts = {key: value for key, value in body.items() if key not in _OWN_KEYS}
    return shape(
        str(body.get("detail") or f"the server answered {status}"),
        code=code,
        hint=body.get("hint"),
        next_actions=tuple(body.get("next_actions") or ()),
        **facts,
    )
