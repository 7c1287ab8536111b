"""Calls about many runs at once: as columns, and beside each other."""

from collections.abc import Sequence
from typing import Any

from tallystick.client.calls import Calls
from tallystick.client.reading import view
from tallystick.wire.codec import to_json
from tallystick.wire.comparison import CompareRuns, Comparison
from tallystick.wire.tables import RunTable

PAGE_ROWS = 2_000
_METRICS = ("metric.", "min.", "max.")


class TableCalls(Calls):
    """Read any selection of runs as one table, and compare some."""

    def run_table(
        self,
        filter: str | None = None,  # noqa: A002 - the word that the call has
        *,
        columns: Sequence[str] | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> dict[str, list[Any]]:
        """Every run of a selection, one list for each column: `pandas.DataFrame(table)` takes it.

        `columns` are names that filters have, and `param.*`, `metric.*` (the last value), `min.*`,
        `max.*`, `summary.*`. Times are Unix seconds; a value that a run has not is None; metrics
        are numbers, NaN and the infinities too.
        """
        query = {
            "filter": filter,
            "sort": sort,
            "columns": None if columns is None else ",".join(columns),
        }
        table: dict[str, list[Any]] = {}
        rows, cursor = 0, ""
        while limit is None or rows < limit:
            size = PAGE_ROWS if limit is None else min(PAGE_ROWS, limit - rows)
            page = view(
                RunTable,
                self._caller.get("/runs/table", {**query, "limit": size, "cursor": cursor}),
            )
            for name in page.columns:
                table.setdefault(name, [None] * rows)
            for name in table:
                column = page.columns.get(name) or [None] * page.rows
                table[name] += map(_number, column) if name.startswith(_METRICS) else column
            rows += page.rows
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
        return table

    def compare(
        self,
        *runs: str,
        filter: str | None = None,  # noqa: A002 - the word that the call has
        sort: str | None = None,
        metrics: Sequence[str] | None = None,
        seeds: Sequence[str] | None = None,
    ) -> Comparison:
        """Runs beside each other, by ids or by a filter: what differs, and what seeds alone change.

        `seeds` names parameters that only repeat a trial; by default those that end in `seed`.
        """
        body = CompareRuns(
            runs=list(runs),
            filter=filter,
            sort=sort,
            metrics=None if metrics is None else list(metrics),
            seeds=None if seeds is None else list(seeds),
        )
        return view(Comparison, self._caller.post("/compare", to_json(body)))


def _number(value: Any) -> Any:
    """A metric's value; the texts NaN, Infinity and -Infinity stand for numbers."""
    return float(value) if isinstance(value, str) else value
