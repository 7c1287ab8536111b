"""What an MLflow client told, one frame a line, as the server has kept it.

A frame is a JSON object: `at` (Unix milliseconds), `call` (the route), `attempt`, `child` (of a
nested run, else absent) and `body`, byte for byte what the client sent. Metrics of a nested run are
series named `<child>/<metric>`. A status is noted as what the client claims, and is nothing more.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.intake import rows as metric_rows
from tallystick.intake.batch import UNTIMED, Batch, number

DELETED: Final = None
"""What a tag holds once it was deleted."""


def read(content: bytes, *, final: bool) -> Batch:
    """The frames of a piece that begins with a line."""
    batch = Batch(used=metric_rows.whole(content, final=final))
    for line in content[: batch.used].split(b"\n"):
        if not line.strip():
            continue
        frame = metric_rows.parse(line)
        body = frame.get("body") if frame is not None else None
        if frame is None or not isinstance(body, dict):
            batch.unread += 1
            continue
        batch.rows += 1
        child = frame.get("child")
        prefix = f"{child}/" if isinstance(child, str) and child else ""
        _read_frame(batch, frame, body, prefix)
    return batch


def _read_frame(
    batch: Batch, frame: Mapping[str, Any], body: Mapping[str, Any], prefix: str
) -> None:
    call = str(frame.get("call"))
    match call:
        case "runs/log-metric":
            _metric(batch, body, prefix)
        case "runs/log-batch":
            for metric in _objects(body, "metrics"):
                _metric(batch, metric, prefix)
            _pairs(batch, "param", _objects(body, "params"), prefix)
            _pairs(batch, "tag", _objects(body, "tags"), prefix)
        case "runs/log-parameter" | "runs/set-tag":
            _pairs(batch, "tag" if call == "runs/set-tag" else "param", [body], prefix)
        case "runs/delete-tag":
            batch.notes["tag", f"{prefix}{body.get('key')}"] = DELETED
        case "runs/create" | "runs/update":
            _claimed(batch, frame, body, prefix)
        case "runs/log-inputs":
            _inputs(batch, body, prefix)
        case _ if call.startswith("logged-models"):
            _model(batch, frame, body)
        case _:
            batch.notes["call", f"{prefix}{call}"] = body


def _metric(batch: Batch, metric: Mapping[str, Any], prefix: str) -> None:
    key, value, step = metric.get("key"), number(metric.get("value")), _whole(metric.get("step"))
    if not isinstance(key, str) or value is None:
        batch.unread += 1
        return
    time = _whole(metric.get("timestamp"))
    batch.add(prefix + key, step or 0, value, UNTIMED if time is None else time)


def _claimed(batch: Batch, frame: Mapping[str, Any], body: Mapping[str, Any], prefix: str) -> None:
    """A client made a run, ours or one nested in it, or says how it stands."""
    _pairs(batch, "tag", _objects(body, "tags"), prefix)
    if isinstance(body.get("run_name"), str):
        batch.notes["tag", f"{prefix}mlflow.runName"] = body["run_name"]
    if isinstance(body.get("user_id"), str):
        batch.notes["tag", f"{prefix}mlflow.user"] = body["user_id"]
    claim = {
        key: body[key] for key in ("status", "end_time") if isinstance(body.get(key), str | int)
    }
    if frame.get("call") == "runs/create":
        claim = {"status": "RUNNING"}
        if prefix:
            batch.notes["child", prefix[:-1]] = {"start_time": _whole(body.get("start_time"))}
    if claim:
        batch.notes["claim", f"{prefix}status"] = claim | {"at": frame.get("at")}
        if not prefix:
            batch.notes["begun", str(frame.get("attempt"))] = True


def _model(batch: Batch, frame: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """A model of the run; the frame's `child` is its id."""
    model = str(frame.get("child"))
    told = {"at": frame.get("at")}
    if frame.get("call") == "logged-models":
        names = ("name", "model_type", "source_run_id")
        batch.notes["model", model] = told | {name: body.get(name) for name in names}
    elif isinstance(body.get("status"), str):
        batch.notes["model_status", model] = told | {"status": body["status"]}
    _pairs(batch, "model_param", _objects(body, "params"), f"{model}/")
    _pairs(batch, "model_tag", _objects(body, "tags"), f"{model}/")


def _inputs(batch: Batch, body: Mapping[str, Any], prefix: str) -> None:
    """Datasets that a client says were used."""
    for place, given in enumerate(_objects(body, "datasets")):
        dataset = given.get("dataset")
        name = dataset.get("name") if isinstance(dataset, dict) else None
        batch.notes["input", f"{prefix}{name or place}"] = given


def _pairs(batch: Batch, kind: str, pairs: Sequence[Mapping[str, Any]], prefix: str) -> None:
    for pair in pairs:
        key, value = pair.get("key"), pair.get("value", "")
        if isinstance(key, str) and isinstance(value, str):
            batch.notes[kind, prefix + key] = value
        else:
            batch.unread += 1


def _objects(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = body.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _whole(value: Any) -> int | None:
    """A whole number; clients send 64 bits as a number or as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.removeprefix("-").isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and -(2**63) < value < 2**63 else None
