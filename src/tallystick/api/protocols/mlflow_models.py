"""Logged models, which MLflow 3 keeps beside runs: each belongs to the registered run it came from.

A model's id is `m-`, the digits of its run, a hyphen and eight digits, so that it leads to the run.
What the client tells of it stands in the run's stream like everything else; its files are artifacts
of the run below `models/<id>/`.
"""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.call import Call
from tallystick.api.protocols import mlflow, mlflow_shapes
from tallystick.api.protocols.mlflow import PREFIX
from tallystick.api.protocols.mlflow_shapes import Place
from tallystick.api.routing import Endpoint, Permission, Route
from tallystick.domain.run import Run
from tallystick.errors import NotFoundError
from tallystick.store.index import opened
from tallystick.store.series import Series

ROOT: Final = f"{PREFIX}/logged-models"


def run_of(model: str) -> str:
    """The run that a model's id leads to; raises `NotFoundError`."""
    kind, _, rest = model.partition("-")
    digits = rest.partition("-")[0]
    if kind != "m" or not digits:
        raise NotFoundError(f"Model not found: {model[:80]}", code="model_not_found")
    return f"run_{digits}"


async def create(call: Call) -> Response:
    """A new model of the run that tells, or of the run that it names as its source."""
    body = mlflow.body_of(call)
    own = await mlflow.own_run(call)
    source = Place.of(str(body.get("source_run_id") or (own.id if own is not None else "")))
    run = await mlflow.open_run(call, source)
    digits = call.services.clock.token_bytes(4).hex()
    made = f"m-{run.id.removeprefix('run_')}-{digits}"
    kept = await mlflow.keep(call, run, "logged-models", child=made)
    return await _answered(call, run, kept or made)


async def get(call: Call) -> Response:
    """One model."""
    model = call.path["model"]
    return await _answered(call, await mlflow.open_run(call, Place(run_of(model))), model)


async def finalize(call: Call) -> Response:
    """A model is ready, or has failed, as its client says."""
    model = call.path["model"]
    run = await mlflow.open_run(call, Place(run_of(model)))
    await mlflow.keep(call, run, "logged-models/finalize", child=model)
    return await _answered(call, run, model)


async def search(call: Call) -> Response:
    """The models of the run inside a job; with another token none, for they lie with their runs."""
    own = await mlflow.own_run(call)
    if own is None:
        return answers.json({"models": []})
    told = await _told(call, own)
    return answers.json({"models": [_document(own, model, told) for model in told["model"]]})


def _keeping(name: str) -> Route:
    async def route(call: Call) -> Response:
        model = call.path["model"]
        run = await mlflow.open_run(call, Place(run_of(model)))
        await mlflow.keep(call, run, name, child=model)
        return answers.json({})

    route.__doc__ = f"Keep what a client tells by {name}."
    return route


async def _answered(call: Call, run: Run, model: str) -> Response:
    told = await _told(call, run)
    if model not in told["model"]:
        raise NotFoundError(f"Model not found: {model[:80]}", code="model_not_found")
    return answers.json({"model": _document(run, model, told)})


async def _told(call: Call, run: Run) -> dict[str, Mapping[str, Any]]:
    await mlflow.caught_up(call, run.id)
    return await call.services.work(_read, call.services.data.series, run.id)


def _read(series: Series, run: str) -> dict[str, Mapping[str, Any]]:
    order = [path.name for path in series.files(run)]
    kinds = ("model", "model_status", "model_param", "model_tag")
    with opened(series.directory(run), order) as index:
        return {kind: index.notes(kind) if index is not None else {} for kind in kinds}


def _document(run: Run, model: str, told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """As the client reads it."""
    made = told["model"][model]
    sweep = run.sweep or mlflow_shapes.NO_SWEEP
    status = told["model_status"].get(model) or {}
    return {
        "info": {
            "model_id": model,
            "experiment_id": sweep,
            "name": made.get("name") or model,
            "creation_timestamp_ms": made.get("at") or run.created_at,
            "last_updated_timestamp_ms": status.get("at") or made.get("at") or run.created_at,
            "artifact_uri": f"mlflow-artifacts:/{sweep}/models/{model}/artifacts",
            "status": status.get("status") or "LOGGED_MODEL_PENDING",
            "model_type": made.get("model_type") or "",
            "source_run_id": made.get("source_run_id") or run.id,
            "tags": _pairs(told["model_tag"], model),
        },
        "data": {"params": _pairs(told["model_param"], model), "metrics": []},
    }


def _pairs(held: Mapping[str, Any], model: str) -> list[dict[str, Any]]:
    begins = f"{model}/"
    return [
        {"key": name.removeprefix(begins), "value": value}
        for name, value in held.items()
        if name.startswith(begins)
    ]


def _endpoint(method: str, path: str, route: Route) -> Endpoint:
    return Endpoint(
        method=method,
        path=f"{ROOT}{path}",
        route=route,
        permission=Permission.TRACK,
        hidden=True,
    )


ENDPOINTS: Final = (
    _endpoint("POST", "", create),
    _endpoint("POST", "/search", search),
    _endpoint("GET", "/{model}", get),
    _endpoint("PATCH", "/{model}", finalize),
    _endpoint("PATCH", "/{model}/tags", _keeping("logged-models/tags")),
    _endpoint("POST", "/{model}/params", _keeping("logged-models/params")),
)
