"""Declaring a sweep from a command line: what `tally sweep create --command` sends."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.cli import output
from tallystick.cli.command import sent_environment
from tallystick.cli.output import UsageError
from tallystick.cli.registration import directory_of
from tallystick.cli.space import parameters_of, points_of, seeds_of
from tallystick.client.config import process_environment
from tallystick.wire.sweep_requests import DeclareSweep

if TYPE_CHECKING:
    from tallystick.wire.demands import AskedWords
    from tallystick.wire.sweep_views import PlanPreview
    from tallystick.wire.views import SweepView

PLACEMENTS = ("flag", "placeholder", "environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said on the command line."""

    name: str
    goal: str = ""
    command: str
    params: tuple[str, ...] = ()
    seeds: str | None = None
    samples: int | None = None
    seed: int | None = None
    points: str | None = None
    max_runs: int | None = None
    placement: str | None = None
    parallel: int | None = None
    start: bool = False
    draft: bool = False
    workdir: str | None = None
    env: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    asked: "AskedWords" = field(default_factory=dict)  # type: ignore[assignment]
    """What each run needs; None is not asked for."""


def name_of(words: str | None, option: str | None) -> str:
    """The name, given once; raises `UsageError`."""
    if (words is None) is (option is None):
        raise UsageError(
            "a name is required, once",
            code="name_missing",
            next_actions=("tally sweep create NAME",),
        )
    return words or option or ""


def refuse_without_command(**space: Any) -> None:
    """A space without a command would be dropped silently."""
    for name, value in space.items():
        if value:
            raise UsageError(
                f"--{name.replace('_', '-')}: expected a --command that takes the values",
                code="command_missing",
                next_actions=(
                    "tally sweep create NAME --command 'python train.py' --param lr=0.1,1",
                ),
            )


def body_of(said: Said) -> DeclareSweep:
    """The request; raises `UsageError` and `InvalidError`."""
    space = space_of(
        params=said.params,
        seeds=said.seeds,
        samples=said.samples,
        seed=said.seed,
        points=said.points,
        max_runs=said.max_runs,
        placement=said.placement,
    )
    if said.start and said.draft:
        raise UsageError("--start and --draft: expected one of them", code="usage")
    return DeclareSweep(
        name=said.name,
        base_command=said.command,
        workdir=directory_of(said.workdir),
        goal=said.goal or None,
        auto_start=said.start,
        status="draft" if said.draft else None,
        parallel=said.parallel,
        tags=list(said.tags),
        env=sent_environment(process_environment(), said.env),
        **{name: value for name, value in space.items() if value is not None},
        **said.asked,
    )


def space_of(
    *,
    params: Sequence[str],
    seeds: str | None,
    samples: int | None,
    seed: int | None,
    points: str | None,
    max_runs: int | None,
    placement: str | None,
) -> dict[str, Any]:
    """The fields of a request that say which configurations; None is not said.

    Raises `UsageError`; may read a file, or standard input.
    """
    if placement is not None and placement not in PLACEMENTS:
        raise UsageError(
            f"--placement: expected {', '.join(PLACEMENTS)}; found {placement}",
            code="placement_invalid",
        )
    return {
        "parameters": parameters_of(params) or None,
        "seeds": seeds_of(seeds),
        "points": None if points is None else _points(points),
        "samples": samples,
        "seed": seed,
        "max_runs": max_runs,
        "placement": placement,
    }


def _points(name: str) -> list[dict[str, Any]]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--points {name}: {error}", code="points_invalid") from None
    return points_of(text.split("\n"))


def show_preview(preview: "PlanPreview", *, as_json: bool) -> None:
    """How many runs, which digest, and the first commands."""
    output.warn(preview.warnings)
    if as_json:
        output.emit(preview)
        return
    plan = preview.plan
    output.facts((("runs", f"{plan.count:,}"), ("by", plan.strategy), ("digest", plan.digest)))
    output.say()
    for run in preview.runs:
        output.say(output.plain(run.command))
    if plan.count > len(preview.runs):
        output.note(f"and {plan.count - len(preview.runs):,} more; nothing was created")
    else:
        output.note("nothing was created")


def next_words(sweep: "SweepView", *, started: bool) -> str:
    """What was made, and what can be done with it."""
    count = f"{sweep.planned:,} run" + ("" if sweep.planned == 1 else "s")
    follow = f"tally sweep wait {sweep.id}" if started else f"tally sweep start {sweep.id}"
    return f"{count} planned; {'follow' if started else 'start'} with: {follow}"
