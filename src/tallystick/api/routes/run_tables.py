"""Runs as a table of columns, and beside each other."""

from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers, views
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.columns import Row, chosen, columns_of, row_of
from tallystick.api.comparing import MOST_COMPARED, compare
from tallystick.api.finding import is_id, run_missing
from tallystick.api.paging import CURSOR, page_of, page_size, position_of
from tallystick.api.queries import Query
from tallystick.api.routes.run_lists import CHOICE, run_filter
from tallystick.api.routing import Endpoint, Permission
from tallystick.db.database import Transaction
from tallystick.domain.run import Run
from tallystick.errors import InvalidError
from tallystick.projections import measured, runs
from tallystick.projections.filters import parse, parse_sort
from tallystick.projections.runs import RunFilter
from tallystick.projections.selecting import Selection
from tallystick.wire.comparison import CompareRuns, Comparison
from tallystick.wire.tables import RunTable

MOST_ROWS: Final = 10_000
_ROWS_AT_ONCE: Final = 500
"""How many are looked up by their ids in one question."""


async def table(call: Call) -> Response:
    """Runs as columns: `columns` holds one list for each, all of one length.

    `next_cursor` asks for the rows that follow; null when there are no more.
    """
    names = chosen(call.query["columns"])
    wanted, before = run_filter(call), position_of(call.query["cursor"])
    limit: int = call.query["limit"]

    def read(tx: Transaction) -> RunTable:
        found = runs.page(tx, wanted, limit=limit + 1, before=before)
        shown, after = page_of(found, limit, lambda run: run.created_seq)
        material = _material(tx, shown, names)
        columns = columns_of(names, _rows(tx, shown), material)
        return RunTable(rows=len(shown), columns=columns, next_cursor=after)

    return answers.json(await call.services.read(read))


def _material(tx: Transaction, found: list[Run], names: tuple[str, ...]) -> views.Material:
    """The texts that the columns show, and no others."""
    wanted = [
        getattr(run, name)
        for name in ("name", "command", "workdir", "note")
        if name in names
        for run in found
    ]
    return views.Material(views.load_texts(tx, wanted))


def _rows(tx: Transaction, found: list[Run]) -> list[Row]:
    known: dict[str, Any] = {}
    for start in range(0, len(found), _ROWS_AT_ONCE):
        some = [run.id for run in found[start : start + _ROWS_AT_ONCE]]
        known |= measured.of_runs(tx, some)
    return [row_of(run, known.get(run.id)) for run in found]


async def compare_runs(call: Call) -> Response:
    """What differs between runs, their metrics side by side, and what seeds alone change.

    Runs whose parameters are the same but for the seed are replicates of each other: their
    metrics have a mean, a standard deviation and a 95 % interval (Student's t). Runs that did not
    succeed are shown and left out of those.
    """
    body: CompareRuns = call.body
    for run in body.runs:
        if not is_id(run, "run"):
            raise run_missing(run)

    def read(tx: Transaction) -> Comparison:
        found, more = _compared(tx, body, call.services.clock.now())
        material = _material(tx, found, ("name",))
        return compare(
            _rows(tx, found), material, metrics=body.metrics, seeds=body.seeds, more=more
        )

    return answers.json(await call.services.read(read))


def _compared(tx: Transaction, body: CompareRuns, now: int) -> tuple[list[Run], bool]:
    """The runs in the order in which they were named, or that of the filter; whether more match."""
    if bool(body.runs) == bool(body.filter):
        raise InvalidError(
            "expected either runs or filter; found " + ("both" if body.runs else "neither of them"),
            code="selection_invalid",
            next_actions=('POST /compare with {"filter": "sweep:swp_… status:finished"}',),
        )
    if not body.runs:
        terms = parse(body.filter or "")
        sort = None if body.sort is None else parse_sort(body.sort)
        wanted = RunFilter(selection=Selection(terms, sort, now))
        found = runs.page(tx, wanted, limit=MOST_COMPARED + 1)
        return found[:MOST_COMPARED], len(found) > MOST_COMPARED
    if len(body.runs) > MOST_COMPARED:
        raise InvalidError(
            f"runs: expected at most {MOST_COMPARED}; found {len(body.runs)}", code="body_invalid"
        )
    known = {str(run.id): run for run in runs.many(tx, body.runs)}
    for key in body.runs:
        if key not in known:
            raise run_missing(key)
    return [known[key] for key in dict.fromkeys(body.runs)], False


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/runs/table",
        route=table,
        permission=Permission.READ,
        query=(
            *CHOICE,
            Query(
                name="columns",
                longest=4_000,
                description="Names with commas between them: those that `filter` knows, and "
                "`param.*`, `metric.*`, `min.*`, `max.*`, `summary.*` for all of a kind.",
            ),
            page_size(MOST_ROWS, 1_000),
            CURSOR,
        ),
        answer=RunTable,
    ),
    Endpoint(
        method="POST",
        path="/compare",
        route=compare_runs,
        permission=Permission.READ,
        body=Body(CompareRuns),
        answer=Comparison,
        refusals=(404,),
    ),
)
