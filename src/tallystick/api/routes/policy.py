"""The compliance policy, and the guard's rules of projects; only people set them (P1.2)."""

import hashlib
import posixpath
import tomllib
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.texts import checked_characters, is_secret
from tallystick.api.views import Material, load_texts, seconds
from tallystick.db.database import Transaction
from tallystick.domain import guard as guards
from tallystick.domain.commands import SetPolicy
from tallystick.domain.guard_commands import AcceptPolicy
from tallystick.domain.ids import Enforcement
from tallystick.errors import InvalidError
from tallystick.projections import guard, totals
from tallystick.wire import guard_requests
from tallystick.wire.guard_views import ProjectPolicyPage, ProjectPolicyView
from tallystick.wire.requests import UpdatePolicy
from tallystick.wire.views import PolicyView

_KNOWN: Final = ("mode", "allow", "experiment", "utility_scripts", "tests_are_runs")
"""What stands in the rules of a project; the guard reads no other word."""


async def get(call: Call) -> Response:
    """What happens to requests without a session or a sweep."""
    found = await call.services.read(totals.policy)
    return answers.json(PolicyView(session=found.session, sweep=found.sweep))


async def put(call: Call) -> Response:
    """Set the policy; fields that are left out stay as they are."""
    body: UpdatePolicy = call.body
    command = SetPolicy(
        session=None if body.session is None else Enforcement(body.session),
        sweep=None if body.sweep is None else Enforcement(body.sweep),
    )
    accepted = await call.services.submit(command, by=call.actor)
    policy = accepted.policy
    return answers.json(
        PolicyView(session=policy.session, sweep=policy.sweep, receipt=accepted.receipt)
    )


async def accept(call: Call) -> Response:
    """Let the guard's rules of a project count from now on; people only, and in the ledger.

    Rules that nobody accepted count for nothing: whatever else stands in the file, the guard goes
    on with those that were accepted last. Accepting the same again is harmless.
    """
    body: guard_requests.AcceptPolicy = call.body
    root = _checked_root(body.root)
    mode = _mode_of(_checked_rules(body.text))
    texts = call.texts()
    command = AcceptPolicy(
        project=guards.project_of(root),
        root=texts.add(root),
        text=texts.keep(body.text),
        sha256=hashlib.sha256(body.text.encode()).hexdigest(),
        mode=mode,
    )
    accepted = await call.services.submit(command, by=call.actor, texts=texts)
    more = {
        "already": not accepted.records,
        "receipt": accepted.receipt,
        "warnings": call.warnings,
    }

    def ask(tx: Transaction) -> ProjectPolicyView:
        found = guard.project(tx, accepted.subject)
        assert found is not None  # noqa: S101 - it was just accepted, or had been
        return _views(tx, [found], **more)[0]

    return answers.json(await call.services.read(ask))


def _checked_root(root: str) -> str:
    """An absolute path in its one spelling; raises `InvalidError`."""
    checked_characters("root", root, longest=4096)
    if not root.startswith("/"):
        raise InvalidError(
            f"root: expected the absolute path of a project's directory; found {root[:200]!r}",
            code="root_relative",
            hint="`tally policy accept` sends the right one",
        )
    return "/" + posixpath.normpath(root).lstrip("/")


def _checked_rules(text: str) -> dict[str, Any]:
    """Rules as they are kept: TOML with known words and no secret; raises `InvalidError`."""
    checked_characters("text", text, longest=100_000)
    if is_secret(text):
        raise InvalidError(
            "text: expected rules; found what looks like a secret, and everybody who may read "
            "the ledger reads them",
            code="policy_secret",
            hint="write the words before the secret: a rule covers every command that begins so",
        )
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"text: expected TOML; {error}", code="policy_invalid") from None
    unknown = sorted(set(found) - set(_KNOWN))
    if unknown:
        raise InvalidError(
            f"text: expected {', '.join(_KNOWN)}; found {unknown[0][:80]!r}", code="policy_invalid"
        )
    return found


def _mode_of(rules: dict[str, Any]) -> str | None:
    """The mode that rules ask for, if any; raises `InvalidError`."""
    mode = rules.get("mode")
    if mode is None or mode in guards.MODES:
        return mode
    raise InvalidError(
        f"mode: expected {', '.join(guards.MODES)}; found {str(mode)[:40]!r}", code="policy_invalid"
    )


async def list_projects(call: Call) -> Response:
    """The rules that people accepted, one for each project, newest first."""
    limit, cursor = call.query["limit"], call.query["cursor"]
    before = position_of(cursor)

    def ask(tx: Transaction) -> tuple[list[ProjectPolicyView], str | None]:
        found = guard.projects_page(tx, limit=limit + 1, before=before)
        shown, after = page_of(found, limit, lambda one: one.accepted_seq)
        return _views(tx, shown), after

    items, after = await call.services.read(ask)
    page = ProjectPolicyPage(items=items, next_cursor=after)
    return answers.json(items if cursor is None else page)


def _views(
    tx: Transaction, found: list[guards.ProjectPolicy], **more: Any
) -> list[ProjectPolicyView]:
    """Rules with their texts, in one question."""
    texts = load_texts(tx, (text for one in found for text in (one.root, one.text)))
    material = Material(texts=texts)
    return [
        ProjectPolicyView(
            id=one.id,
            root=material.text(one.root) or "",
            sha256=one.sha256,
            mode=one.mode,
            text=material.text(one.text) or "",
            accepted_at=seconds(one.accepted_at),
            accepted_by=one.accepted_by,
            seq=one.accepted_seq,
            **more,
        )
        for one in found
    ]


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/policy",
        route=get,
        permission=Permission.READ,
        answer=PolicyView,
    ),
    Endpoint(
        method="PUT",
        path="/policy",
        route=put,
        permission=Permission.PEOPLE,
        body=Body(UpdatePolicy, refuse_unknown=True),
        answer=PolicyView,
    ),
    Endpoint(
        method="POST",
        path="/policy/projects",
        route=accept,
        permission=Permission.PEOPLE,
        body=Body(guard_requests.AcceptPolicy, refuse_unknown=True),
        answer=ProjectPolicyView,
    ),
    Endpoint(
        method="GET",
        path="/policy/projects",
        route=list_projects,
        permission=Permission.READ,
        query=(page_size(1000, 100), CURSOR),
        answer=list[ProjectPolicyView] | ProjectPolicyPage,
    ),
)
