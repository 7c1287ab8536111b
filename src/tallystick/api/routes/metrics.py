"""Metrics: rows kept as they were measured, and the series that are read from them."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.finding import find_run
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import Appended, MetricsView
from tallystick.errors import ConflictError, InvalidError, TallystickError
from tallystick.store.points import Extent, Number, Point, Table, latest, load, shown, thin
from tallystick.store.series import POSTED, Batch
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
        length = services.series.append(run, POSTED, chunk)
    else:
        batch = Batch(call.digest_of(key), hashlib.sha256(call.raw).digest())
        length, replayed = services.series.append_batch(run, chunk, batch)
    try:
        services.sealer.touch(run)
    except TallystickError as error:
        # The rows are on disk: an error would have them sent, and stored, again.
        _log.warning("run %s: its new rows are not marked for sealing: %s", run, error)
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
    highest and its odd points stay. Of files longer than 16 MiB the newest rows are read. An empty
    object when nothing was measured.
    """
    run = await call.services.read(lambda tx: find_run(tx, call.path["run"]))
    services = call.services
    files = await services.work(services.series.extents, run.id)
    found = services.metrics.get(files)
    if found is None:
        found = await services.parse(services.metrics.get_or_make, files, partial(_read, files))
    return answers.raw_json(found)


def _read(files: Sequence[Extent]) -> bytes:
    table = load(files)
    return answers.encode(view(table, files) if table.rows or table.unread else {})


def view(table: Table, files: Sequence[Extent]) -> MetricsView:
    """The series of a run under the names that agents read."""
    total = sum(file.size for file in files)
    left_out = sum(file.start for file in files)
    thinned = {key: thin(points) for key, points in table.series.items()}
    last = latest(table)
    for name, candidates in _SUMMARY.items():
        stands_for = next((key for key in candidates if key in last), None)
        if stands_for is not None:
            last.setdefault(name, last[stands_for])
    sampled = [key for key, (_, fewer) in thinned.items() if fewer]
    return MetricsView(
        metricSeries={key: _points(points) for key, (points, _) in thinned.items()},
        metricKeys=list(table.series),
        lossHistory=_loss_history({key: points for key, (points, _) in thinned.items()}),
        metrics=last,
        sampled=bool(sampled or left_out),
        sampledKeys=sampled,
        rows=table.rows,
        unsteppedRows=table.unstepped,
        unread_rows=table.unread,
        otherKeys=list(table.other),
        read_bytes=total - left_out,
        total_bytes=total,
    )


def _points(points: Sequence[Point]) -> Any:
    return [{"step": shown(step), "value": shown(value)} for step, value in points]


def _loss_history(series: Mapping[str, Sequence[Point]]) -> list[dict[str, Any]]:
    """Losses side by side, by step; nothing is made up for a step that has only one of them."""
    train = next((series[key] for key in _TRAIN_LOSS if key in series), ())
    val = next((series[key] for key in _VAL_LOSS if key in series), ())
    rows: dict[Number, dict[str, Any]] = {}
    for name, points in (("trainLoss", train), ("valLoss", val)):
        for step, value in points:
            rows.setdefault(step, {"step": shown(step)})[name] = shown(value)
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
        answer=MetricsView,
        refusals=(404,),
    ),
)
