"""Questions about the guard: decisions, exceptions and accepted rules, newest first."""

from sqlalchemy import select

from tallystick.db.database import Transaction
from tallystick.domain.guard import Decision, GuardException, ProjectPolicy
from tallystick.projections.tables import decisions, exceptions, projects

_d = decisions.table.c
_e = exceptions.table.c
_p = projects.table.c


def decision(tx: Transaction, key: str) -> Decision | None:
    """One decision."""
    rows = tx.fetch(select(decisions.table).where(_d.id == key))
    return decisions.load(rows[0]) if rows else None


def decisions_page(
    tx: Transaction,
    *,
    limit: int,
    session: str | None = None,
    action: str | None = None,
    before: int | None = None,
) -> list[Decision]:
    """At most `limit` decisions, reported before ledger position `before`."""
    statement = select(decisions.table).order_by(_d.created_seq.desc()).limit(limit)
    if session is not None:
        statement = statement.where(_d.session == session)
    if action is not None:
        statement = statement.where(_d.action == action)
    if before is not None:
        statement = statement.where(_d.created_seq < before)
    return [decisions.load(row) for row in tx.fetch(statement)]


def exception(tx: Transaction, key: str) -> GuardException | None:
    """One exception."""
    rows = tx.fetch(select(exceptions.table).where(_e.id == key))
    return exceptions.load(rows[0]) if rows else None


def exceptions_page(
    tx: Transaction, *, limit: int, before: int | None = None
) -> list[GuardException]:
    """At most `limit` exceptions, granted before ledger position `before`."""
    statement = select(exceptions.table).order_by(_e.created_seq.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_e.created_seq < before)
    return [exceptions.load(row) for row in tx.fetch(statement)]


def project(tx: Transaction, key: str) -> ProjectPolicy | None:
    """The rules of one project."""
    rows = tx.fetch(select(projects.table).where(_p.id == key))
    return projects.load(rows[0]) if rows else None


def projects_page(tx: Transaction, *, limit: int, before: int | None = None) -> list[ProjectPolicy]:
    """At most `limit` projects, their rules accepted before ledger position `before`."""
    statement = select(projects.table).order_by(_p.accepted_seq.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_p.accepted_seq < before)
    return [projects.load(row) for row in tx.fetch(statement)]
