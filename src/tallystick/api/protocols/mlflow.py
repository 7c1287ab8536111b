"""MLflow's tracking protocol, for the clients of versions 2.9 to 3.x, by environment alone.

Inside a job the client has the run's own token, and whatever it asks for is about that run: every
experiment is the run's sweep, the first run that it makes is the registered one, and every further
one is nested in it. What it told is kept byte for byte in a stream of the run; answers are made
from the index of it. A status that it reports is a claim: the run ends when its processes do.
With another token everything can be read, and a run can be told about by its id.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from starlette.responses import Response

from tallystick.api import answers, auth, views
from tallystick.api.bodies import parse
from tallystick.api.call import Call
from tallystick.api.finding import find_run, find_sweep
from tallystick.api.measured import PATIENCE_SECONDS, SHORT_PATIENCE_SECONDS, state_of
from tallystick.api.protocols import mlflow_shapes as shapes
from tallystick.api.protocols.mlflow_search import matcher, ordered
from tallystick.api.protocols.mlflow_shapes import Place, Told, Tracked
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission, Route
from tallystick.db.database import Transaction
from tallystick.domain.ids import Role, SweepId
from tallystick.domain.run import Run
from tallystick.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from tallystick.projections import runs
from tallystick.projections.runs import RunFilter
from tallystick.store.columns import Block
from tallystick.store.frames import Frame, one_line
from tallystick.store.index import opened
from tallystick.store.reading import numbers
from tallystick.store.series import Series

PREFIX: Final = "/api/2.0/mlflow"
STREAM: Final = "client.mlflow"
"""The file of what clients told, beside the run's other streams."""

MOST_METRICS: Final = 10_000
"""Told of one run at once."""

MOST_RUNS: Final = 1_000
"""Looked at in one search: the newest of its experiments."""

MOST_SWEEPS: Final = 100
"""Looked at in one search."""

MOST_LISTED: Final = 50_000
"""Told on one page of a search, nested runs included."""

MOST_POINTS: Final = 25_000
"""Told of one history at once."""

_LATE: Final = "a run of a job can be told about until it ends; register another one"


async def experiment_by_name(call: Call) -> Response:
    """Inside a job every name is that of the run's own sweep; elsewhere names are sweep ids."""
    name = call.query["experiment_name"]
    own = await own_run(call)
    if own is not None:
        return _answer({"experiment": await _experiment(call, own.sweep)})
    return _answer({"experiment": await _experiment(call, name)})


async def experiment(call: Call) -> Response:
    """A sweep by its id."""
    own = await own_run(call)
    sweep = own.sweep if own is not None else call.query["experiment_id"]
    return _answer({"experiment": await _experiment(call, sweep)})


async def create_experiment(call: Call) -> Response:
    """Inside a job: its sweep. Elsewhere sweeps are made by their own call."""
    own = await own_run(call)
    if own is None:
        raise ForbiddenError(
            "experiments are sweeps here, and are created by POST /sweeps",
            code="not_inside_a_run",
            hint="run the script as a registered run: tally exec -- python train.py",
        )
    return _answer({"experiment_id": own.sweep or shapes.NO_SWEEP})


async def search_experiments(call: Call) -> Response:
    """The sweep of the run inside a job, else the newest sweeps."""
    own = await own_run(call)
    if own is not None:
        return _answer({"experiments": [await _experiment(call, own.sweep)]})
    raise InvalidError(
        "sweeps are listed by GET /sweeps", code="not_offered", next_actions=("GET /sweeps",)
    )


async def _experiment(call: Call, sweep: str | None) -> dict[str, Any]:
    if sweep in {None, shapes.NO_SWEEP}:
        return shapes.experiment(shapes.NO_SWEEP, "Default")
    return await call.services.read(lambda tx: _named_sweep(tx, str(sweep)))


def _named_sweep(tx: Transaction, key: str) -> dict[str, Any]:
    sweep = find_sweep(tx, key)
    texts = views.Material(views.load_texts(tx, [sweep.name]))
    return shapes.experiment(sweep.id, texts.text(sweep.name) or sweep.id)


async def create_run(call: Call) -> Response:
    """The registered run, for the first who asks inside an attempt; after that a nested one."""
    body = body_of(call)
    own = await own_run(call)
    if own is None:
        raise ForbiddenError(
            "runs are registered by POST /runs before they are executed",
            code="not_inside_a_run",
            hint="run the script as a registered run: tally exec -- python train.py",
        )
    tags = [tag for tag in _listed(body, "tags") if isinstance(tag, dict)]
    inner = any(tag.get("key") == "mlflow.parentRunId" and tag.get("value") for tag in tags)
    nested = inner or await _has_begun(call, own)
    child = f"nested-{call.services.clock.token_bytes(4).hex()}" if nested else ""
    kept = await keep(call, own, "runs/create", child=child)
    found = await _tracked(call, Place(own.id, child if kept is None else kept))
    return _answer({"run": found.document()})


async def _has_begun(call: Call, run: Run) -> bool:
    told = await _told(call, run.id, patience_seconds=PATIENCE_SECONDS)
    return run.attempt in told.begun


async def get_run(call: Call) -> Response:
    """One run with its last metrics, its parameters and its tags."""
    run_id = call.query["run_id"] or call.query["run_uuid"] or ""
    place = await _place(call, run_id)
    return _answer({"run": (await _tracked(call, place)).document()})


async def update_run(call: Call) -> Response:
    """A status and an end that a client claims: recorded, and not believed."""
    place, run = await _written(call)
    await keep(call, run, "runs/update", child=place.child)
    return _answer({"run_info": (await _tracked(call, place)).info})


def _keeping(name: str) -> Route:
    """A route that keeps what it was told and answers nothing."""

    async def route(call: Call) -> Response:
        place, run = await _written(call)
        await keep(call, run, name, child=place.child)
        return _answer({})

    route.__doc__ = f"Keep what a client tells by {name}."
    return route


async def search_runs(call: Call) -> Response:
    """Runs of some experiments by MLflow's own expressions; inside a job, of its own run."""
    body = body_of(call)
    own = await own_run(call)
    matches = matcher(str(body.get("filter") or ""))
    limit = _most(body.get("max_results"))
    offset = _offset(body.get("page_token"))
    if own is not None:
        found = [own]
    else:
        wanted = [str(key) for key in _listed(body, "experiment_ids")][:MOST_SWEEPS]
        found = await call.services.read(lambda tx: _of_sweeps(tx, wanted))
    loaded = await call.services.parse(_load, call, found)
    shown = ordered(
        [run for run in loaded if matches(run)], [str(key) for key in _listed(body, "order_by")]
    )
    answer: dict[str, Any] = {
        "runs": [run.document() for run in shown[offset : offset + limit]],
    }
    if len(shown) > offset + limit:
        answer["next_page_token"] = str(offset + limit)
    return _answer(answer)


def _of_sweeps(tx: Transaction, sweeps: list[str]) -> list[Run]:
    found: list[Run] = []
    for sweep in sweeps:
        if sweep == shapes.NO_SWEEP:
            newest = runs.page(tx, RunFilter(), limit=MOST_RUNS)
            found += [run for run in newest if run.sweep is None]
        else:
            found += runs.page(tx, RunFilter(sweep=SweepId(sweep)), limit=MOST_RUNS)
    return found[:MOST_RUNS]


def _load(call: Call, found: list[Run]) -> list[Tracked]:
    with call.services.database.read() as tx:
        material = views.of_runs(tx, found, in_list=True)
    loaded = []
    for run in found:
        told = _read_told(call.services.data.series, run.id)
        name = material.text(run.name) or run.id
        loaded += [shapes.tracked(run, name, child, told) for child in ("", *told.children)]
    return loaded


async def history(call: Call) -> Response:
    """Every point of one metric, a page at a time."""
    run_id = call.query["run_id"] or call.query["run_uuid"] or ""
    place = await _place(call, run_id)
    key, limit = call.query["metric_key"], call.query["max_results"]
    offset = _offset(call.query["page_token"])
    await state_of(call.services, place.run, patience_seconds=PATIENCE_SECONDS)
    series = f"{place.child}/{key}" if place.child else key
    read = partial(_history, call.services.data.series, place.run, series, offset, limit)
    points, total = await call.services.parse(read)
    answer: dict[str, Any] = {"metrics": [shapes.metric(key, point) for point in points]}
    if total > offset + limit:
        answer["next_page_token"] = str(offset + limit)
    return _answer(answer)


def _history(
    series: Series, run: str, name: str, offset: int, limit: int
) -> tuple[list[shapes.Point], int]:
    order = [path.name for path in series.files(run)]
    with opened(series.directory(run), order) as index:
        blocks = index.blocks(name) if index is not None else []
    points: list[shapes.Point] = []
    start = 0
    for block in blocks:
        first, last = max(0, offset - start), max(0, offset + limit - start)
        points += _points(block.part(first, last))
        start += len(block)
    return points, start


def _points(block: Block) -> list[shapes.Point]:
    return list(zip(numbers(block.steps), numbers(block.values), block.times.tolist(), strict=True))


def body_of(call: Call) -> dict[str, Any]:
    """What a client told; raises `InvalidError` for what is no JSON object."""
    document = parse(call.raw, not_finite=True) if call.raw.strip() else {}
    if not isinstance(document, dict):
        raise InvalidError("body: expected a JSON object", code="body_invalid")
    return document


async def own_run(call: Call) -> Run | None:
    """The run whose own token asks; None for any other token."""
    token = call.token
    if token is None or token.role is not Role.RUN or token.run is None:
        return None
    key = token.run
    return await call.services.read(lambda tx: find_run(tx, key))


async def _place(call: Call, run_id: str) -> Place:
    """Where an id leads; raises `NotFoundError`, `ForbiddenError` for another run's token."""
    place = Place.of(run_id)
    await check_place(call, place)
    return place


async def check_place(call: Call, place: Place) -> None:
    """Raises `ForbiddenError` for another run's token, `NotFoundError` when there is none."""
    token = call.token
    if token is not None and token.role is Role.RUN and place.run != token.run:
        raise ForbiddenError(
            f"a run's own token opens that run and nothing else; this one belongs to {token.run}",
            code="token_scope",
        )
    await call.services.read(lambda tx: find_run(tx, place.run))


async def _written(call: Call) -> tuple[Place, Run]:
    """The run that a body is about, once it may be told about."""
    body = body_of(call)
    place = Place.of(str(body.get("run_id") or body.get("run_uuid") or ""))
    return place, await open_run(call, place)


async def open_run(call: Call, place: Place) -> Run:
    """The run of a place, which the token of the call may tell about."""
    await check_place(call, place)
    run = await call.services.read(lambda tx: find_run(tx, place.run))
    if call.token is not None and call.token.session is not None:
        auth.check_session(call.token, run)
    return run


async def keep(call: Call, run: Run, name: str, *, child: str) -> str | None:
    """Keep the request; None, or the nested run of its first copy when it was kept before."""
    body_of(call)
    if run.attempt is None:
        raise ConflictError(
            f"run {run.id} is {run.status}: nothing was executed yet",
            code="run_not_started",
            hint=_LATE,
        )
    frame = Frame(
        at=call.services.clock.now(),
        call=name,
        attempt=run.attempt,
        child=child,
        body=one_line(call.raw.strip()) or b"{}",
    )
    return await call.services.work(_append, call, run.id, frame)


def _append(call: Call, run: str, frame: Frame) -> str | None:
    services = call.services
    services.data.sealer.touch(run)
    kept = services.data.frames.append(run, STREAM, frame)
    services.data.indexer.touch(run)
    return kept


async def _tracked(call: Call, place: Place) -> Tracked:
    told = await _told(call, place.run, patience_seconds=SHORT_PATIENCE_SECONDS)
    if place.child and place.child not in told.children:
        raise NotFoundError(f"Run not found: {place.id[:80]}", code="run_not_found")
    return await call.services.read(lambda tx: _read_tracked(tx, place, told))


def _read_tracked(tx: Transaction, place: Place, told: Told) -> Tracked:
    run = find_run(tx, place.run)
    material = views.of_runs(tx, [run], in_list=True)
    return shapes.tracked(run, material.text(run.name) or run.id, place.child, told)


async def caught_up(call: Call, run: str) -> None:
    """Wait for the index of what was told before."""
    await state_of(call.services, run, patience_seconds=PATIENCE_SECONDS)


async def _told(call: Call, run: str, *, patience_seconds: float) -> Told:
    await state_of(call.services, run, patience_seconds=patience_seconds)
    return await call.services.work(_read_told, call.services.data.series, run)


def _read_told(series: Series, run: str) -> Told:
    order = [path.name for path in series.files(run)]
    with opened(series.directory(run), order) as index:
        if index is None:
            return Told()
        return Told(
            metrics=index.last_points(limit=MOST_METRICS),
            params=index.notes("param"),
            tags=index.notes("tag"),
            claims=index.notes("claim"),
            children=index.notes("child"),
            begun=index.notes("begun"),
        )


def _listed(body: Mapping[str, Any], name: str) -> list[Any]:
    """A list of a body; an empty one for anything else."""
    found = body.get(name)
    return found if isinstance(found, list) else []


def _most(wanted: Any) -> int:
    """How many runs a page has."""
    if wanted is None:
        return MOST_RUNS
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise InvalidError(
            f"max_results: expected a whole number of at least 1; found {str(wanted)[:40]!r}",
            code="parameter_invalid",
        )
    return min(wanted, MOST_LISTED)


def _offset(token: Any) -> int:
    """Where a page begins."""
    text = str(token or "0")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidError("page_token: expected one of ours", code="parameter_invalid")
    return int(text)


def _answer(document: Mapping[str, Any]) -> Response:
    return answers.json(document)


_RUN: Final = (
    Query(name="run_id", description="A run."),
    Query(name="run_uuid", description="The same, by its old name."),
)


def _endpoint(method: str, path: str, route: Route, *query: Query) -> Endpoint:
    return Endpoint(
        method=method,
        path=f"{PREFIX}/{path}",
        route=route,
        permission=Permission.TRACK,
        query=query,
        hidden=True,
    )


_KEPT: Final = (
    "runs/log-metric",
    "runs/log-parameter",
    "runs/log-batch",
    "runs/set-tag",
    "runs/delete-tag",
    "runs/log-inputs",
    "runs/log-model",
    "runs/outputs",
)

ENDPOINTS: Final = (
    _endpoint(
        "GET",
        "experiments/get-by-name",
        experiment_by_name,
        Query(name="experiment_name", required=True, description="A name."),
    ),
    _endpoint(
        "GET",
        "experiments/get",
        experiment,
        Query(name="experiment_id", required=True, description="A sweep."),
    ),
    _endpoint("POST", "experiments/create", create_experiment),
    _endpoint("POST", "experiments/search", search_experiments),
    _endpoint("POST", "runs/create", create_run),
    _endpoint("GET", "runs/get", get_run, *_RUN),
    _endpoint("POST", "runs/update", update_run),
    _endpoint("POST", "runs/search", search_runs),
    _endpoint(
        "GET",
        "metrics/get-history",
        history,
        *_RUN,
        Query(name="metric_key", required=True, longest=1_024, description="A metric."),
        Query(
            name="max_results",
            kind=int,
            default=MOST_POINTS,
            minimum=1,
            maximum=MOST_POINTS,
            description="Points of a page.",
        ),
        Query(name="page_token", description="The next page."),
    ),
    *(_endpoint("POST", path, _keeping(path)) for path in _KEPT),
)
"""What the client calls while it tracks runs."""
