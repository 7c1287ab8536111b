"""Metrics: rows kept as they were measured, and the series that are read from them."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.finding import find_run
from tallystick.api.measured import MOST_LAST, PATIENCE_SECONDS, State, state_of
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import Appended, MetricsView
from tallystick.errors import ConflictError, InvalidError, TallystickError
from tallystick.store import reading, thinning
from tallystick.store.index import Index, Source, opened
from tallystick.store.reading import MOST_SERIES, Point, Wanted
from tallystick.store.series import POSTED, Batch, Series
from tallystick.wire.requests import AppendMetrics

_log = logging.getLogger(__name__)

_TRAIN_LOSS: Final = ("train/loss", "train_loss", "training_loss", "loss")
_VAL_LOSS: Final = ("val/loss", "val_loss", "validation_loss", "eval/loss", "eval_loss")
_SUMMARY: Final[Mapping[str, tuple[str, ...]]] = {
    "loss": ("loss", "train/loss", "train_loss", "training_loss"),
    "accuracy": (
        "accuracy",
        "val/accuracy",
        "val_accuracy",
        "eval/accuracy",
        "eval_accuracy",
        "train/accuracy",
        "train_accuracy",
        "acc",
    ),
    "epoch": ("epoch", "train/epoch"),
}
"""Names that agents read, and the metrics that they may stand for; the first that exists."""


async def append(call: Call) -> Response:
    """Add rows; answered once they are on disk.

    Numbers are kept as they are; NaN and the infinities are welcome, as bare tokens or as text.
    With an Idempotency-Key a batch is stored once, however often it is sent.
    """
    body: AppendMetrics = call.body
    if not body.rows:
        raise InvalidError("rows: expected at least one object; found none", code="rows_empty")
    run = await call.services.read(lambda tx: find_run(tx, call.path["run"]))
    if run.attempt is None:
        raise ConflictError(
            f"run {run.id} is {run.status}: nothing was executed yet, so nothing was measured",
            code="run_not_started",
            next_actions=(f"POST /runs/{run.id}/start",),
        )
    return await call.services.work(_append, call, run.id, body.rows)


def _append(call: Call, run: str, rows: Sequence[Mapping[str, Any]]) -> Response:
    services, key = call.services, call.idempotency_key()
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
    chunk = "".join(f"{encoder.encode(row)}\n" for row in rows).encode()
    replayed = False
    if key is None:
        length = services.data.series.append(run, POSTED, chunk)
    else:
        batch = Batch(call.digest_of(key), hashlib.sha256(call.raw).digest())
        length, replayed = services.data.series.append_batch(run, chunk, batch)
    try:
        services.data.sealer.touch(run)
        services.data.indexer.touch(run)
    except TallystickError as error:
        # The rows are on disk: an error would have them sent, and stored, again.
        _log.warning("run %s: its new rows are not marked as new: %s", run, error)
    return answers.json(
        Appended(
            appended=0 if replayed else len(rows),
            total_bytes=length,
            replayed=replayed,
            warnings=call.warnings,
        )
    )


async def read(call: Call) -> Response:
    """Everything that the run has measured, never scaled or rounded.

    A series of up to 2,000 points is given whole; a longer one is thinned so that its lowest, its
    highest and its odd points stay. `keys` chooses series, `from_step` and `to_step` a range of
    them. What was acknowledged before is in the answer; in a flood of more than 16 MiB it may not
    be yet, and `read_bytes` is less than `total_bytes`. An empty object when there is nothing.
    """
    wanted = _wanted(call.query)
    run = await call.services.read(lambda tx: find_run(tx, call.path["run"]))
    services = call.services
    state = await state_of(services, run.id, patience_seconds=PATIENCE_SECONDS)
    key = (state, wanted)
    found = services.metrics.get(key)
    if found is None:
        make = partial(_read, services.data.series, state, wanted)
        found = await services.parse(services.metrics.get_or_make, key, make)
    return answers.raw_json(found)


def _wanted(query: Mapping[str, Any]) -> Wanted:
    """Which points a caller wants."""
    return Wanted(
        keys=_keys(query["keys"] or ""),
        buckets=query["buckets"],
        from_step=query["from_step"],
        to_step=query["to_step"],
    )


def _keys(text: str) -> tuple[str, ...]:
    """Names between commas, or a JSON array of names for those that hold a comma."""
    found: Any = text.split(",")
    if text.startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise InvalidError(
            "query parameter keys: expected names between commas, or a JSON array of names; "
            f"found {text[:60]!r}",
            code="parameter_invalid",
            parameter="keys",
        )
    names = tuple(dict.fromkeys(name for name in found if name))
    if len(names) > MOST_SERIES:
        raise InvalidError(
            f"query parameter keys: expected at most {MOST_SERIES} names; found {len(names)}",
            code="parameter_invalid",
            parameter="keys",
            hint="ask several times",
        )
    return names


def _read(series: Series, state: State, wanted: Wanted) -> bytes:
    with opened(series.directory(state.run), state.order) as index:
        sources = index.sources() if index is not None else []
        if index is None or not any(source.position for source in sources):
            return b"{}"
        return answers.encode(view(index, sources, wanted, total_bytes=state.total_bytes))


def view(
    index: Index, sources: Sequence[Source], wanted: Wanted, *, total_bytes: int
) -> MetricsView:
    """The series of a run under the names that agents read."""
    table = reading.read(index, wanted)
    last = index.latest(limit=MOST_LAST)
    for name, candidates in _SUMMARY.items():
        stands_for = next((key for key in candidates if key in last), None)
        if stands_for is not None:
            last.setdefault(name, last[stands_for])
    return MetricsView(
        metricSeries=cast("Any", table.series),
        metricKeys=list(table.names),
        lossHistory=_loss_history(table.series),
        metrics=last,
        sampled=bool(table.thinned or table.left_out),
        sampledKeys=table.thinned,
        untold_keys=table.left_out,
        rows=sum(source.rows for source in sources),
        unsteppedRows=sum(source.unstepped for source in sources),
        unread_rows=sum(source.unread for source in sources),
        otherKeys=index.others(),
        summary=index.notes("summary"),
        read_bytes=sum(source.position for source in sources),
        total_bytes=total_bytes,
    )


def _loss_history(series: Mapping[str, Sequence[Point]]) -> list[dict[str, Any]]:
    """Losses side by side, by step; nothing is made up for a step that has only one of them."""
    train = next((series[key] for key in _TRAIN_LOSS if key in series), ())
    val = next((series[key] for key in _VAL_LOSS if key in series), ())
    rows: dict[Any, dict[str, Any]] = {}
    for name, points in (("trainLoss", train), ("valLoss", val)):
        for point in points:
            step = point["step"]
            rows.setdefault(step, {"step": step})[name] = point["value"]
    return list(rows.values())


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/runs/{run}/metrics",
        route=append,
        permission=Permission.METRICS,
        body=Body(AppendMetrics, not_finite=True),
        answer=Appended,
        creates=True,
        refusals=(404, 409),
    ),
    Endpoint(
        method="GET",
        path="/runs/{run}/metrics",
        route=read,
        permission=Permission.READ,
        query=(
            Query(
                name="keys",
                longest=16_384,
                description="Only these metrics: names between commas, or a JSON array of names.",
            ),
            Query(
                name="buckets",
                kind=int,
                default=thinning.BUCKETS,
                minimum=1,
                maximum=thinning.MOST_BUCKETS,
                description="Stretches of a series that is longer than 2,000 points; of each its "
                "lowest, its highest and its first odd point are told.",
            ),
            Query(name="from_step", kind=float, description="Only points from this step on."),
            Query(name="to_step", kind=float, description="Only points up to this step."),
        ),
        answer=MetricsView,
        refusals=(404,),
    ),
)
