"""Registering a run from a command line: what `tally run create` and `tally exec` share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.cli.command import (
    ASSIGNED,
    command_of,
    name_of,
    params_of,
    sent_environment,
    whole_environment,
)
from tallystick.cli.options import scratch_sweep
from tallystick.cli.output import note
from tallystick.client.config import process_environment
from tallystick.errors import InvalidError

if TYPE_CHECKING:
    from tallystick.client.client import Client
    from tallystick.wire.demands import AskedWords, RunDemands
    from tallystick.wire.views import RunView


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What was said on the command line."""

    words: tuple[str, ...]
    sweep: str | None = None
    name: str | None = None
    workdir: str | None = None
    env: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    start: bool = True
    origin: str | None = None
    """What led to it, for example the decision of a hook; kept as a tag."""
    key: str | None = None
    """The same key makes the same run."""
    env_all: bool = False
    """Whether it gets the whole environment that is here."""
    asked: "RunDemands | AskedWords" = field(default_factory=dict)  # type: ignore[assignment]
    """What it needs; absent is not asked for."""


def register(client: "Client", said: Registration) -> "RunView":
    """Create the run, in the session's scratch sweep when none was named."""
    command = command_of(said.words)
    environment = environment_of(said)
    params = params_of(said.params)
    workdir = directory_of(said.workdir)
    return client.create_run(
        said.name or name_of(command),
        command,
        sweep=said.sweep or scratch_sweep(client),
        workdir=workdir,
        env=environment,
        params=params,
        auto_start=said.start,
        key=said.key,
        **with_origin(said.asked, said.origin),
    )


def environment_of(said: Registration) -> dict[str, str]:
    """The variables that are sent; says so when the pinned GPUs are not among them."""
    present = process_environment()
    chosen = sent_environment(present, said.env)
    if present.get(ASSIGNED) and ASSIGNED not in chosen and "TALLY_RUN_ID" not in present:
        note(
            f"{ASSIGNED}={present[ASSIGNED]} is not sent: the queue assigns GPUs. To wait for "
            f"exactly these: --env {ASSIGNED}"
        )
    return {**whole_environment(present), **chosen} if said.env_all else chosen


def with_origin(asked: "RunDemands | AskedWords", origin: str | None) -> "RunDemands":
    """What a run asks for, with the tag by which it is found that something led to it."""
    whole: RunDemands = {**asked}
    if origin is not None:
        whole["tags"] = [*whole.get("tags", []), f"origin={origin}"]
    return whole


def directory_of(named: str | None) -> str:
    """The absolute working directory: here unless named; raises `InvalidError` when it is gone."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise InvalidError(
            "the current directory does not exist any more", code="workdir_missing"
        ) from None
    return str(here / Path(named).expanduser()) if named else str(here)
