"""Every error that Tallystick raises on purpose.

TallystickError                 code, detail, hint, next_actions, facts
├─ Refusal                      the caller can mend it; never logged with a traceback
│  ├─ InvalidError         422  malformed request or specification
│  ├─ UnauthenticatedError 401  no token, or one that is not known
│  ├─ ForbiddenError       403  a known token that may not do this
│  ├─ NotFoundError        404  no such thing, or a call that is not offered
│  ├─ ConflictError        409  the state does not allow it
│  └─ PolicyError          422  the audit protocol forbids it
├─ UnavailableError        503  passing; says when to try again
├─ VerificationError            a proof, signature or record does not hold
└─ CorruptLedgerError      500  stop writing, stay readable, call a person

The class docstring is the default detail. A refusal teaches: what was expected, what was found,
what to call instead.
"""

from collections.abc import Sequence
from typing import Any, ClassVar


class TallystickError(Exception):
    """Something went wrong in Tallystick."""

    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        detail: str | None = None,
        *,
        code: str | None = None,
        hint: str | None = None,
        next_actions: Sequence[str] = (),
        **facts: Any,
    ) -> None:
        """Keep a `detail` for people, a stable `code`, a `hint`, calls to make next, and facts."""
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.code = code or type(self).default_code
        self.hint = hint
        self.next_actions = tuple(next_actions)
        self.facts = facts
        super().__init__(self.detail)


class Refusal(TallystickError):  # noqa: N818 - the word of the protocol
    """The request was refused; nothing was changed."""

    default_code = "refused"


class InvalidError(Refusal):
    """The request is malformed."""

    default_code = "invalid"


class UnauthenticatedError(Refusal):
    """Unauthorized: send a token in X-Auth-Token, or as Authorization: Bearer."""

    default_code = "unauthenticated"


class ForbiddenError(Refusal):
    """This token may not do that."""

    default_code = "forbidden"


class NotFoundError(Refusal):
    """There is no such thing here."""

    default_code = "not_found"


class ConflictError(Refusal):
    """The present state does not allow this."""

    default_code = "conflict"


class PolicyError(Refusal):
    """The audit protocol does not allow this."""

    default_code = "policy"


class UnavailableError(TallystickError):
    """Not possible just now; try again."""

    default_code = "unavailable"
    retry_after_seconds: float = 1.0


class VerificationError(TallystickError):
    """The record does not verify."""

    default_code = "verification_failed"


class CorruptLedgerError(TallystickError):
    """The ledger does not match its own signed head; writing has stopped."""

    default_code = "corrupt_ledger"
