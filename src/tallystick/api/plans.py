"""From what a body declares to the plan that stands in the ledger (P2.2).

Everything is checked before anything is recorded: that the points are exact, that each of them can
be a run, and that none of them carries a secret, for parameters stand in the ledger as they are.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tallystick.control.redaction import redact
from tallystick.control.texts import Texts
from tallystick.domain.codec import to_fields
from tallystick.domain.demands import Demands
from tallystick.domain.ids import Text
from tallystick.domain.params import Value
from tallystick.domain.plan import (
    GENERATOR,
    Declaration,
    Space,
    declare,
    digest_of,
)
from tallystick.domain.rendering import ENVIRONMENT, PLACEHOLDER, Rendering, check, rendering_of
from tallystick.domain.shell_scan import scan
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.errors import InvalidError
from tallystick.shell import pins
from tallystick.wire.sweep_requests import DeclareSweep, UpdateSweep
from tallystick.wire.sweep_views import PlannedCommand
from tallystick.wire.views import Warning as Notice

MOST_PLAN_BYTES: Final = 3_900
"""Of an entry's 4,096: parameters, demands, tags and commitments together."""

SHOWN: Final = 10
"""Commands in a preview."""

_OVERRULED: Final = re.compile(r"CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|PYTHONUNBUFFERED|TALLY_.*")
"""Variables of the launch, which come after those of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a plan is made of; its texts are those that will be recorded."""

    asked: Declaration
    command: Text
    recorded: str
    """The command without its secrets."""
    sent: str | None = None
    """The command as it came, when it came with this request."""
    workdir: Text
    environment: Text | None = None
    variables: frozenset[str] = frozenset()
    """Names in `environment`."""
    placement: str | None = None
    demands: Demands
    tags: tuple[str, ...] = ()
    ui_config: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A plan, and what follows from it."""

    plan: SweepPlanned
    space: Space
    rendering: Rendering
    notices: list[Notice] = field(default_factory=list)

    def commands(self, name: str) -> list[PlannedCommand]:
        """The first runs as they would be registered, under the name of their sweep."""
        return [
            PlannedCommand(
                name=f"{name} #{index + 1}",
                command=self.rendering.command(point),
                params=dict(point),
            )
            for index, point in enumerate(map(self.space.point, range(min(SHOWN, self.plan.count))))
        ]


def declared_in(body: DeclareSweep) -> Declaration:
    """The space of a body, not checked yet."""
    return Declaration(
        parameters=body.parameters,
        seeds=body.seeds,
        points=body.points,
        strategy=body.strategy,
        samples=body.samples,
        seed=body.seed,
        max_runs=body.max_runs,
    )


def changed_by(old: Declaration, body: UpdateSweep, *, without: Iterable[str] = ()) -> Declaration:
    """The space after a change: `parameters` or `points` declare it anew, the rest is replaced.

    The fields in `without` are taken out of it.
    """
    if body.parameters is not None or body.points is not None:
        old = Declaration(parameters={}, seeds=old.seeds, max_runs=old.max_runs)
    names = ("parameters", "seeds", "points", "strategy", "samples", "seed", "max_runs")
    given: dict[str, Any] = {
        name: getattr(body, name) for name in names if getattr(body, name) is not None
    }
    given |= dict.fromkeys(without)
    return replace(old, **given)


def make(wanted: Wanted, texts: Texts) -> Made:
    """The plan; raises `InvalidError`. Its explicit points are added to `texts`.

    May take a second for 100,000 points.
    """
    space = declare(wanted.asked)
    rendering = rendering_of(wanted.recorded, space.names, placement=wanted.placement)
    _check_marks(wanted, space)
    _check_variables(wanted, space, rendering)
    _refuse_secrets(space)
    check(rendering, space)
    _check_devices(wanted, space, rendering)
    points = wanted.asked.points
    plan = SweepPlanned(
        strategy=space.strategy,
        axes=space.declared,
        seeds=space.seeds,
        seed=space.seed,
        samples=space.samples,
        points=None if points is None else texts.keep(json.dumps(points, ensure_ascii=False)),
        generator=GENERATOR,
        count=space.count,
        size=space.size,
        digest=digest_of(space.points()),
        command=wanted.command,
        workdir=wanted.workdir,
        environment=wanted.environment,
        placement=rendering.placement,
        demands=wanted.demands,
        tags=wanted.tags,
        ui_config=wanted.ui_config,
    )
    _check_size(plan)
    return Made(plan=plan, space=space, rendering=rendering, notices=_notices(plan))


def _check_marks(wanted: Wanted, space: Space) -> None:
    """A placeholder inside a secret is cut out with it, and would never be filled in."""
    if wanted.sent is None or wanted.sent == wanted.recorded:
        return
    before, after = (scan(text, space.names) for text in (wanted.sent, wanted.recorded))
    slots = [
        [piece for piece in one.pieces if not isinstance(piece, str)] for one in (before, after)
    ]
    if slots[0] != slots[1] or before.open != after.open:
        raise InvalidError(
            "base_command: expected placeholders apart from secrets; found one in what looks like "
            "a secret, which is cut out of the record",
            code="placeholder_invalid",
            hint="send the secret as a variable in env",
        )


def _check_variables(wanted: Wanted, space: Space, rendering: Rendering) -> None:
    twice = sorted(wanted.variables & set(space.names))
    if rendering.placement == ENVIRONMENT and twice:
        raise InvalidError(
            f"env: expected no variable that is a parameter, too; found {twice[0][:80]}",
            code="env_invalid",
        )


def _check_devices(wanted: Wanted, space: Space, rendering: Rendering) -> None:
    """A device that a value names is none that the lease could know of."""
    overruled = sorted(name for name in space.names if _OVERRULED.fullmatch(name))
    if rendering.placement == ENVIRONMENT and overruled:
        raise InvalidError(
            f"parameters.{overruled[0]}: expected a variable that the run may choose; found one "
            "that the server sets for every run",
            code="env_invalid",
            hint="GPUs are asked for with gpus: CUDA_VISIBLE_DEVICES is set to those that are "
            "leased",
        )
    if rendering.placement != PLACEHOLDER or pins.VARIABLE not in wanted.recorded:
        return
    fixed = pins.named(wanted.recorded)
    shown = map(space.point, range(min(SHOWN, space.count)))
    if any(pins.named(rendering.command(point)) != fixed for point in shown):
        raise InvalidError(
            f"base_command: expected {pins.VARIABLE} without a placeholder; found one that picks "
            "the device of each run",
            code="gpus_conflict",
            hint=f"leave {pins.VARIABLE} and its parameter out and send gpus=1: each run gets a "
            "device of its own",
        )


def _refuse_secrets(space: Space) -> None:
    """Parameters stand in the ledger, for ever, where everybody can read them."""
    for axis in space.axes:
        for value in axis.values:
            _refuse_secret(axis.name, value)
    for point in space.bases or ():
        for name, value in point.items():
            _refuse_secret(name, value)


def _refuse_secret(name: str, value: Value) -> None:
    if isinstance(value, str) and redact(f"--{name}={value}", salt=b"").secrets:
        raise InvalidError(
            f"parameters.{name[:80]}: expected values that everybody may read; found what looks "
            "like a secret",
            code="secret_in_parameters",
            hint="send it as a variable in env, where it is cut out of the record",
        )


def _check_size(plan: SweepPlanned) -> None:
    size = len(json.dumps(to_fields(plan), ensure_ascii=False, separators=(",", ":")).encode())
    if size > MOST_PLAN_BYTES:
        raise InvalidError(
            f"parameters: expected at most {MOST_PLAN_BYTES} bytes for parameters, tags and "
            f"demands together; found {size}",
            code="space_too_large",
            hint="write long lists as a range, or send the configurations as points",
        )


def _notices(plan: SweepPlanned) -> list[Notice]:
    if plan.count == plan.size:
        return []
    detail = (
        f"max_runs: only the first {plan.count:,} of {plan.size:,} points become runs; without "
        "max_runs all of them do"
    )
    return [Notice(code="max_runs_cut", detail=detail)]
