"""The guard: what it did beside agents is recorded, and what people let pass is signed.

A guard decides without a server. It spools its decisions, and a later command sends them here.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body, refusal_of, strict
from tallystick.api.call import Call
from tallystick.api.finding import is_id
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.texts import checked_session, checked_text, is_secret
from tallystick.api.views import (
    LONGEST_IN_LIST,
    Material,
    load_texts,
    optional_seconds,
    seconds,
)
from tallystick.control.commands import Accepted
from tallystick.control.texts import Texts
from tallystick.db.database import Transaction
from tallystick.domain import guard as guards
from tallystick.domain.guard_commands import GrantException, RecordDecision
from tallystick.domain.ids import DecisionId, ExceptionId, Text
from tallystick.errors import InvalidError, NotFoundError, Refusal
from tallystick.projections import guard
from tallystick.wire import guard_requests as requests
from tallystick.wire.guard_requests import LONGEST_WORDS, MOST_DECISIONS, SpooledDecision
from tallystick.wire.guard_views import (
    DecisionPage,
    DecisionsSent,
    DecisionView,
    ExceptionPage,
    ExceptionView,
    RefusedDecision,
)
from tallystick.wire.views import Receipt

_ITEM: Final[TypeAdapter[SpooledDecision]] = TypeAdapter(strict(SpooledDecision))
_LATEST: Final = 9_007_199_254_740_991
"""Milliseconds; the largest whole number that every reader of JSON agrees about."""

_LARGEST_LISTED: Final = 262_144
"""Bytes of a text in a list; a here-document can be megabytes."""

_PATTERNS: Final = {
    "agent": (re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}"), "a word of a-z, 0-9, '_', '.' and '-'"),
    "reason": (re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}"), "a word of a-z, 0-9, '_', '.' and '-'"),
    "policy": (re.compile(r"default|[0-9a-f]{64}"), "default, or 64 hex digits"),
    "parser": (re.compile(r"[A-Za-z0-9 ._+-]{1,100}"), "a name and a version"),
}
"""What stands in an entry as it is, and what it may look like: a secret must not fit."""

_CALL: Final = re.compile(r"[!-~]{1,200}")

_Prepared = tuple[RecordDecision, Texts]


async def send_decisions(call: Call) -> Response:
    """Record what guards did beside agents; each decision is recorded or refused by itself (P7.3).

    A guard decides offline, so this comes afterwards. What nobody allowed is marked, never
    refused; one that names no session belongs to `unattributed`, marked, under every policy,
    because losing it would be worse. A decision that is recorded already is harmless.
    """
    body: requests.SendDecisions = call.body
    found = len(body.decisions)
    if not 1 <= found <= MOST_DECISIONS:
        raise InvalidError(
            f"decisions: expected 1 to {MOST_DECISIONS}; found {found}", code="body_invalid"
        )
    ready = await call.prepare(lambda: [_prepared(call, item) for item in body.decisions])
    outcomes = await asyncio.gather(*(_recorded(call, one) for one in ready))
    accepted = [one for one in outcomes if isinstance(one, Accepted) and one.records]
    refused = [
        RefusedDecision(id=_name_of(item, place), code=outcome.code, detail=outcome.detail)
        for place, (item, outcome) in enumerate(zip(body.decisions, outcomes, strict=True))
        if isinstance(outcome, Refusal)
    ]
    answer = DecisionsSent(
        accepted=len(accepted),
        already=found - len(accepted) - len(refused),
        refused=refused,
        receipt=_newest(accepted),
        warnings=call.warnings,
    )
    return answers.json(answer)


async def _recorded(call: Call, prepared: _Prepared | Refusal) -> Accepted | Refusal:
    """One decision on its own way; what is passing (no room, no writer) fails the whole call."""
    if isinstance(prepared, Refusal):
        return prepared
    command, texts = prepared
    try:
        return await call.services.submit(command, by=call.actor, texts=texts)
    except Refusal as refusal:
        return refusal


def _newest(accepted: Sequence[Accepted]) -> Receipt | None:
    """The receipt of the latest entry."""
    receipts = [one.receipt for one in accepted if one.receipt is not None]
    return max(receipts, key=lambda receipt: receipt.seq, default=None)


def _name_of(item: Any, place: int) -> str:
    """What to call a decision in an answer."""
    named = item.get("id") if isinstance(item, dict) else None
    return named[:80] if isinstance(named, str) else str(place)


def _prepared(call: Call, item: Any) -> _Prepared | Refusal:
    """The command for one decision, or why there is none."""
    try:
        return _command(call, _read(item))
    except Refusal as refusal:
        return refusal


def _read(item: Any) -> SpooledDecision:
    """One decision as it was spooled; raises `InvalidError`."""
    try:
        sent = _ITEM.validate_json(json.dumps(item))
    except ValidationError as error:
        raise refusal_of(error) from None
    if not is_id(sent.id, "dec"):
        raise _unfit("id", "dec_ and 12 hex digits", sent.id)
    if sent.exception is not None and not is_id(sent.exception, "exc"):
        raise _unfit("exception", "exc_ and 12 hex digits", sent.exception)
    if not 0 <= sent.at <= _LATEST:
        raise _unfit("at", "milliseconds since 1970", str(sent.at))
    for field, (pattern, words) in _PATTERNS.items():
        value: str = getattr(sent, field)
        if pattern.fullmatch(value) is None or is_secret(value):
            raise _unfit(field, words, value)
    return sent


def _unfit(field: str, expected: str, found: str) -> InvalidError:
    return InvalidError(
        f"{field}: expected {expected}; found {found[:40]!r}", code="decision_invalid"
    )


def _command(call: Call, sent: SpooledDecision) -> _Prepared:
    """The command for one decision, and its texts; what people type is never refused here."""
    texts = call.texts()
    session, marks = _session(sent.session)
    called = sent.call is not None and _CALL.fullmatch(sent.call) and not is_secret(sent.call)
    command = RecordDecision(
        decision=DecisionId(sent.id),
        agent=sent.agent,
        call=sent.call if called else None,
        verdict=sent.verdict,
        reason=sent.reason,
        action=sent.action,
        mode=sent.mode,
        policy=sent.policy,
        parser=sent.parser,
        exception=None if sent.exception is None else ExceptionId(sent.exception),
        at=sent.at,
        command=texts.add(_without_nul(sent.command)),
        command_sha256=guards.command_digest(sent.command),
        of_project=guards.project_of(sent.project),
        cwd=texts.add(_without_nul(sent.cwd)[:LONGEST_WORDS]),
        project=texts.add(_without_nul(sent.project)[:LONGEST_WORDS]),
        detail=texts.add(_without_nul(sent.detail)[:LONGEST_WORDS]),
        session=session,
        marks=marks,
    )
    return command, texts


def _session(session: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The session of a decision; one that may be a secret is left out, and marked."""
    try:
        return checked_session(session), ()
    except InvalidError:
        return None, (guards.SESSION_INVALID,)


def _without_nul(text: str) -> str:
    """A text that can be kept; no shell has ever seen a NUL in a command."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


async def list_decisions(call: Call) -> Response:
    """What guards did, newest first; never more than `limit`, so ask for pages with `cursor`.

    A long command is cut; `GET /guard/decisions/{decision}` has it whole.
    """
    limit, cursor = call.query["limit"], call.query["cursor"]
    before = position_of(cursor)
    session, action = call.query["chat_session_id"], call.query["action"]

    def ask(tx: Transaction) -> tuple[list[DecisionView], str | None]:
        found = guard.decisions_page(
            tx, limit=limit + 1, session=session, action=action, before=before
        )
        shown, after = page_of(found, limit, lambda one: one.created_seq)
        return _decision_views(tx, shown, in_list=True), after

    items, after = await call.services.read(ask)
    return answers.json(items if cursor is None else DecisionPage(items=items, next_cursor=after))


async def get_decision(call: Call) -> Response:
    """What a guard did with one command, whole."""
    key = call.path["decision"]

    def ask(tx: Transaction) -> DecisionView:
        found = guard.decision(tx, key) if is_id(key, "dec") else None
        if found is None:
            raise NotFoundError(
                f"Decision not found: {key[:80]}",
                code="decision_not_found",
                next_actions=("GET /guard/decisions lists the decisions there are",),
            )
        return _decision_views(tx, [found], in_list=False)[0]

    return answers.json(await call.services.read(ask))


def _decision_views(
    tx: Transaction, found: Sequence[guards.Decision], *, in_list: bool
) -> list[DecisionView]:
    """Decisions with their texts, in one question."""
    texts = [text for one in found for text in (one.command, one.cwd, one.project, one.detail)]
    if in_list:
        texts = [text for text in texts if text.n <= _LARGEST_LISTED]
    material = Material(texts=load_texts(tx, texts))
    return [_decision_view(one, material, in_list=in_list) for one in found]


def _decision_view(one: guards.Decision, material: Material, *, in_list: bool) -> DecisionView:
    large = in_list and one.command.n > _LARGEST_LISTED
    command = "" if large else _shown(material, one.command)
    cut = in_list and len(command) > LONGEST_IN_LIST
    return DecisionView(
        id=one.id,
        agent=one.agent,
        session_id=one.session,
        call=one.call,
        command=command[:LONGEST_IN_LIST] if cut else command,
        command_truncated=large or cut,
        cwd=_shown(material, one.cwd),
        project=_shown(material, one.project),
        verdict=one.verdict,
        reason=one.reason,
        detail=_shown(material, one.detail),
        action=one.action,
        mode=one.mode,
        policy=one.policy,
        parser=one.parser,
        exception=one.exception,
        at=seconds(one.at),
        recorded_at=seconds(one.recorded_at),
        recorded_by=one.recorded_by,
        violations=list(one.violations),
        seq=one.created_seq,
    )


def _shown(material: Material, text: Text) -> str:
    """A text as it is shown; a decision always has it."""
    return material.text(text) or ""


async def grant_exception(call: Call) -> Response:
    """Let one command pass the guard, once; people only, and in the ledger.

    The answer's `note` is signed by the ledger's key. A guard that pinned the key lets the command
    pass that has this digest, before the note expires, once.
    """
    body: requests.GrantException = call.body
    texts = call.texts()
    typed = checked_text("command", body.command)
    command = GrantException(
        exception=ExceptionId(call.services.clock.new_id("exc")),
        command=texts.add(typed),
        command_sha256=guards.command_digest(typed),
        seconds=body.expires_seconds,
        only=checked_session(body.session, field="session"),
        request=call.mark(),
    )
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    more = {"receipt": accepted.receipt, "warnings": call.warnings}

    def ask(tx: Transaction) -> ExceptionView:
        granted = guard.exception(tx, accepted.subject)
        assert granted is not None  # noqa: S101 - it was just created, or is the original
        return _exception_view(call, granted, load_texts(tx, [granted.command]), **more)

    return answers.json(await call.services.read(ask))


async def list_exceptions(call: Call) -> Response:
    """Exceptions that people granted, newest first, used and expired ones among them."""
    limit, cursor = call.query["limit"], call.query["cursor"]
    before = position_of(cursor)

    def ask(tx: Transaction) -> tuple[list[ExceptionView], str | None]:
        found = guard.exceptions_page(tx, limit=limit + 1, before=before)
        shown, after = page_of(found, limit, lambda one: one.created_seq)
        texts = load_texts(tx, (one.command for one in shown))
        return [_exception_view(call, one, texts) for one in shown], after

    items, after = await call.services.read(ask)
    return answers.json(items if cursor is None else ExceptionPage(items=items, next_cursor=after))


def _exception_view(
    call: Call, one: guards.GuardException, texts: dict[str, str], **more: Any
) -> ExceptionView:
    """An exception; its note is the same whenever it is asked for: Ed25519 leaves no choice."""
    services = call.services
    expired = one.expires_at < services.clock.now()
    return ExceptionView(
        id=one.id,
        command=texts.get(one.command.c, "[erased]"),
        command_sha256=one.command_sha256,
        session_id=one.only,
        expires_at=seconds(one.expires_at),
        granted_at=seconds(one.granted_at),
        granted_by=one.granted_by,
        status="used" if one.used_by is not None else "expired" if expired else "open",
        used_by=one.used_by,
        used_at=optional_seconds(one.used_at),
        note=services.ledger.vouch(one.signed_text()),
        seq=one.created_seq,
        **more,
    )


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/guard/decisions",
        route=send_decisions,
        permission=Permission.CREATE,
        body=Body(requests.SendDecisions),
        answer=DecisionsSent,
    ),
    Endpoint(
        method="GET",
        path="/guard/decisions",
        route=list_decisions,
        permission=Permission.READ,
        query=(
            Query(name="chat_session_id", description="Only decisions of this session."),
            Query(name="action", choices=guards.ACTIONS, description="Only these."),
            page_size(1000, 100),
            CURSOR,
        ),
        answer=list[DecisionView] | DecisionPage,
    ),
    Endpoint(
        method="GET",
        path="/guard/decisions/{decision}",
        route=get_decision,
        permission=Permission.READ,
        answer=DecisionView,
        refusals=(404,),
    ),
    Endpoint(
        method="POST",
        path="/guard/exceptions",
        route=grant_exception,
        permission=Permission.PEOPLE,
        body=Body(requests.GrantException, refuse_unknown=True),
        answer=ExceptionView,
        creates=True,
    ),
    Endpoint(
        method="GET",
        path="/guard/exceptions",
        route=list_exceptions,
        permission=Permission.READ,
        query=(page_size(1000, 100), CURSOR),
        answer=list[ExceptionView] | ExceptionPage,
    ),
)
