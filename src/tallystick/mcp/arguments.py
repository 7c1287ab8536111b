"""What each tool takes: its input schema, and the reading of what an agent sent.

A missing or wrong argument is refused with its name, what was expected and what was found. One that
is not known is answered with a warning, as it is on the routes (`unknown_field`). The bounds of a
value stand where the server decides on it; here stands what an agent has to know to call.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tallystick.errors import InvalidError
from tallystick.wire.views import Warning as Notice

A = TypeVar("A", bound="Arguments")

SHOWN_CHARACTERS = 60
SHOWN_ERRORS = 3
LONGEST_WAIT_SECONDS = 55
"""As the server's own (P4.2), and below the minute after which agents give a call up."""

Value = str | int | float | bool


class Arguments(BaseModel):
    """What every tool takes."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    chat_session_id: Annotated[
        str | None,
        Field(
            description="Id of this conversation. Leave it out: it is found by itself; give it "
            "when an answer says session_required."
        ),
    ] = None


class Key(Arguments):
    """What every creating tool takes besides."""

    idempotency_key: Annotated[
        str | None,
        Field(description="Any word of yours: the same word answers the same record again."),
    ] = None


class Needs(Key):
    """What a run asks for, so that the queue finds room for it."""

    workdir: Annotated[
        str | None,
        Field(description="Absolute path of the project. Default: the server's workspace."),
    ] = None
    env: Annotated[
        dict[str, str] | None,
        Field(description="Environment variables; secrets belong here and nowhere else."),
    ] = None
    tags: Annotated[list[str] | None, Field(description="Words to find the runs by.")] = None
    gpus: Annotated[
        int | None, Field(description="GPUs leased to each run. Default: 1 where there are any.")
    ] = None
    cpus: Annotated[int | None, Field(description="Cores each run takes.")] = None
    memory_mb: Annotated[int | None, Field(description="Main memory each run takes, MiB.")] = None
    timeout_seconds: Annotated[
        float | None, Field(description="A run that takes longer is ended as timed_out.")
    ] = None
    retries: Annotated[int | None, Field(description="Further attempts when a run fails.")] = None


class RegisterSweep(Key):
    """A container for runs that answer one question."""

    name: Annotated[str, Field(description="What people see, for example `mnist lr grid`.")]
    goal: Annotated[str, Field(description="The question that its runs answer.")] = ""


class RegisterRun(Needs):
    """One trial."""

    name: Annotated[str, Field(description="What people see, for example `mlp-lr1e-2-seed1`.")]
    command: Annotated[
        str, Field(description="Given to `bash -c` as it stands; one configuration, no loop.")
    ]
    sweep_id: Annotated[str | None, Field(description="The sweep it belongs to (swp_…).")] = None
    params: Annotated[
        dict[str, Value] | None,
        Field(description="Its configuration, for tables; the command is not changed by it."),
    ] = None
    auto_start: Annotated[
        bool, Field(description="Start as soon as there is room; false leaves it ready.")
    ] = True


class SubmitRuns(Needs):
    """A sweep of exactly the configurations that are declared."""

    name: Annotated[str | None, Field(description="Name of the new sweep.")] = None
    command: Annotated[
        str,
        Field(
            description="What every run executes. `{lr}` is replaced by its value; without such "
            "places `--lr=VALUE` is added to the end."
        ),
    ]
    parameters: Annotated[
        dict[str, Any] | None,
        Field(
            description="By name: a constant, a list of values, or a range {min,max,step} or "
            "{min,max,num,scale:'log'}. Every combination is one run."
        ),
    ] = None
    points: Annotated[
        list[dict[str, Any]] | None,
        Field(description="Instead of a grid: exactly these configurations, an object each."),
    ] = None
    seeds: Annotated[
        int | list[Value] | None,
        Field(description="n repeats each configuration with seed 0 to n-1; or a list of seeds."),
    ] = None
    samples: Annotated[
        int | None, Field(description="Draw so many distinct points instead of all (random).")
    ] = None
    goal: Annotated[str | None, Field(description="The question that its runs answer.")] = None
    sweep_id: Annotated[
        str | None,
        Field(description="Fill this sweep, which has no runs yet, instead of creating one."),
    ] = None
    parallel: Annotated[
        int | None, Field(description="At most so many at a time. Default: as many as fit.")
    ] = None
    placement: Literal["flag", "placeholder", "environment"] | None = None
    auto_start: Annotated[
        bool, Field(description="Start as there is room; false leaves them ready.")
    ] = True


class GetRun(Arguments):
    """One run."""

    run_id: Annotated[str, Field(description="run_ and 12 hex digits.")]
    output_bytes: Annotated[
        int, Field(ge=0, le=8000, description="How much of the end of its output to show.")
    ] = 0


class Which(Arguments):
    """A run or a sweep, one of the two."""

    run_id: Annotated[str | None, Field(description="A run (run_…), or")] = None
    sweep_id: Annotated[str | None, Field(description="a whole sweep (swp_…).")] = None


class WaitRun(Which):
    """Wait for the end."""

    timeout_s: Annotated[
        float,
        Field(
            ge=0,
            le=LONGEST_WAIT_SECONDS,
            description="Answers after so many seconds at the latest, ended or not.",
        ),
    ] = 50


class ListRuns(Arguments):
    """Runs, newest first."""

    sweep_id: Annotated[str | None, Field(description="Only those of a sweep.")] = None
    status: Annotated[
        Literal["ready", "queued", "launching", "running", "finished", "failed", "stopped"] | None,
        Field(description="Only those with this status."),
    ] = None
    mine: Annotated[bool, Field(description="Only those of this conversation.")] = False
    filter: Annotated[
        str | None,
        Field(description="Terms such as param.lr>=1e-3 metric.val/loss<0.2 tag:best."),
    ] = None
    sort: Annotated[
        str | None, Field(description="metric.val/loss, or -metric.acc for the greatest first.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=100, description="At most so many.")] = 20


class GetSweep(Arguments):
    """One sweep."""

    sweep_id: Annotated[str, Field(description="swp_ and 12 hex digits.")]


class StopRun(Which):
    """End what runs."""

    confirm: Annotated[
        bool, Field(description="false says what would be stopped; true stops it.")
    ] = False


class GetBrief(Arguments):
    """Where the work of a conversation stands."""


class TallyHelp(Arguments):
    """A page of the protocol."""

    topic: Annotated[
        str, Field(description="A page, a refusal's code, or any word to look for.")
    ] = "protocol"


class GpuWrap(BaseModel):
    """The old way to ask for a GPU."""

    enabled: bool = True
    retries: int | None = None
    retry_delay_seconds: float | None = None


class CreateRun(Arguments):
    """A run, by the name and the arguments that older agents know."""

    name: str
    command: str
    workdir: str | None = None
    sweep_id: str | None = None
    launch_policy: Annotated[
        Literal["ready", "queued", "start_now"],
        Field(description="ready leaves it until start_run; the others start it with room."),
    ] = "ready"
    gpuwrap_config: GpuWrap | None = None


class StartRun(Arguments):
    """A run that is ready."""

    run_id: str


def schema_of(shape: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a shape, without titles and with nothing said twice."""
    schema: dict[str, Any] = _plain(shape.model_json_schema())
    schema.pop("description", None)
    required, properties = schema.get("required", []), schema["properties"]
    own = [name for name in properties if name not in required and name not in Key.model_fields]
    order = [*required, *own, *(name for name in Key.model_fields if name in properties)]
    return schema | {"properties": {name: properties[name] for name in dict.fromkeys(order)}}


def answer_schema_of(shape: type[BaseModel]) -> dict[str, Any]:
    """The schema of an answer: only what a program needs to read it, for agents pay for it."""
    schema: dict[str, Any] = _bare(_plain(shape.model_json_schema()))
    return schema


def read(shape: type[A], given: Mapping[str, Any]) -> tuple[A, list[Notice]]:
    """The arguments, and a warning for each that is not known; raises `InvalidError`."""
    try:
        arguments = shape.model_validate(dict(given))
    except ValidationError as error:
        raise _refusal(shape, error) from error
    known = ", ".join(shape.model_fields)
    unknown = [name for name in given if name not in shape.model_fields]
    return arguments, [
        Notice(
            code="unknown_field",
            detail=f"{_shown(name)}: not known here and was ignored; known: {known}",
        )
        for name in unknown[:SHOWN_ERRORS]
    ]


def _refusal(shape: type[Arguments], error: ValidationError) -> InvalidError:
    """What was expected and what was found, for the first wrong arguments."""
    wrong = error.errors(include_url=False)
    said = "; ".join(_said(item) for item in wrong[:SHOWN_ERRORS])
    more = len(wrong) - SHOWN_ERRORS
    required = [name for name, field in shape.model_fields.items() if field.is_required()]
    return InvalidError(
        said + (f"; and {more} more" if more > 0 else ""),
        code="arguments_invalid",
        hint=f"required: {', '.join(required) or 'nothing'}; "
        f"known: {', '.join(shape.model_fields)}",
    )


def _said(wrong: Mapping[str, Any]) -> str:
    """One wrong argument."""
    where = ".".join(_shown(part) for part in wrong["loc"]) or "arguments"
    if wrong["type"] == "missing":
        return f"{where}: required, but missing"
    expected = str(wrong["msg"]).removeprefix("Input should be ")
    return f"{where}: expected {_shown(expected, 200)}, found {_shown(repr(wrong['input']))}"


def _shown(value: object, longest: int = SHOWN_CHARACTERS) -> str:
    """The beginning of something foreign, without what cannot be written."""
    text = str(value).encode("utf-8", "replace").decode()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _plain(node: Any) -> Any:
    """A schema without titles; what may be null is said by not being required."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _plain(item) for key, item in node.items() if key != "title" or _named(item)}
    options = kept.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options and kept.get("default", 0) is None:
        del kept["default"], kept["anyOf"]
        left = [option for option in options if option != {"type": "null"}]
        kept |= left[0] if len(left) == 1 else {"anyOf": left}
    return kept


def _bare(node: Any) -> Any:
    """A schema without the words about what is optional, and without its defaults."""
    if isinstance(node, list):
        return [_bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    left_out = {"default"} if "properties" not in node else {"default", "description"}
    return {key: _bare(item) for key, item in node.items() if key not in left_out or _named(item)}


def _named(item: Any) -> bool:
    """Whether a `title` is a property of that name, and not the title of something."""
    return isinstance(item, dict)
