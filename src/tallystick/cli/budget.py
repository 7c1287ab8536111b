"""`tally budget`: what sweeps and sessions may use, and what they have used."""

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tallystick.cli import options, output
from tallystick.cli.output import UsageError

if TYPE_CHECKING:
    from tallystick.wire.signal_views import BudgetUse, BudgetView

app = typer.Typer(no_args_is_help=True, help="Budgets: how many runs, how much GPU time, how long.")

NONE = "none"
Unchanged = Literal["unchanged"]


class Action(StrEnum):
    """What happens at 100 % of hours."""

    REFUSE = "refuse"
    STOP = "stop"


@app.command("list", epilog=options.examples("tally budget list", "tally budget list --json"))
def list_budgets(as_json: options.Json = False) -> None:
    """List the budgets that are set, with what of them is used."""
    found = options.client_for().budgets()
    if as_json:
        output.emit(found)
        return
    output.table(
        ("SCOPE", "RUNS", "GPU HOURS", "WALL HOURS", "AT 100 %", "SET"),
        (
            (
                budget.scope,
                _use(budget.runs),
                _use(budget.gpu_hours),
                _use(budget.wall_hours),
                budget.action,
                output.ago(budget.set_at),
            )
            for budget in found
        ),
        empty="no budgets; set one with: tally budget set SCOPE --gpu-hours 8",
    )


@app.command(
    "set",
    epilog=options.examples(
        "tally budget set swp_0123456789ab --runs 200 --gpu-hours 40",
        "tally budget set session:5f0c1d2e --wall-hours 12 --action stop",
        "tally budget set swp_0123456789ab --gpu-hours none",
    ),
)
def set_budget(
    scope: Annotated[
        str,
        typer.Argument(metavar="SCOPE", help="Id of a sweep, or session: and the id of a session."),
    ],
    runs: Annotated[
        str | None, typer.Option("--runs", metavar="N", help="Runs that may be registered.")
    ] = None,
    gpu_hours: Annotated[
        str | None, typer.Option("--gpu-hours", metavar="HOURS", help="Summed over devices.")
    ] = None,
    wall_hours: Annotated[
        str | None,
        typer.Option("--wall-hours", metavar="HOURS", help="Since its first run started."),
    ] = None,
    action: Annotated[
        Action | None,
        typer.Option("--action", help="At 100 % of hours: start nothing more, or stop, too."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Set or change a budget; people only. What you leave out stays, `none` removes a limit."""
    if (runs, gpu_hours, wall_hours, action) == (None, None, None, None):
        raise UsageError(
            "nothing to change: name --runs, --gpu-hours, --wall-hours or --action",
            code="budget_unchanged",
            next_actions=(f"tally budget set {scope} --gpu-hours 8",),
        )
    hours = _hours("--gpu-hours", gpu_hours), _hours("--wall-hours", wall_hours)
    budget = options.client_for().set_budget(
        scope,
        runs=_count("--runs", runs),
        gpu_hours=hours[0],
        wall_hours=hours[1],
        action=None if action is None else action.value,
    )
    if as_json:
        output.emit(budget)
    else:
        _show(budget)


def _count(name: str, text: str | None) -> int | Unchanged | None:
    """A number of runs, `none`, or what is there already."""
    if text is None:
        return "unchanged"
    if text == NONE:
        return None
    try:
        return int(text)
    except ValueError:
        raise _wrong(name, "a whole number", text) from None


def _hours(name: str, text: str | None) -> float | Unchanged | None:
    """Hours, `none`, or what is there already."""
    if text is None:
        return "unchanged"
    if text == NONE:
        return None
    try:
        hours = float(text)
    except ValueError:
        raise _wrong(name, "a number", text) from None
    if not math.isfinite(hours):
        raise _wrong(name, "a number", text)
    return hours


def _wrong(name: str, expected: str, found: str) -> UsageError:
    return UsageError(
        f"{name}: expected {expected}, or {NONE} to remove the limit; found {found[:40]!r}",
        code="budget_invalid",
    )


def _show(budget: "BudgetView") -> None:
    """One budget, a line for each limit."""
    output.facts(
        (
            ("scope", budget.scope),
            ("runs", _use(budget.runs)),
            ("gpu hours", _use(budget.gpu_hours)),
            ("wall hours", _use(budget.wall_hours)),
            ("at 100 %", budget.action),
        )
    )


def _use(use: "BudgetUse") -> str:
    """Used of limit, and a word when a mark was passed."""
    if use.limit is None:
        return f"{_number(use.used)} of any" if use.used else ""
    word = " (used up)" if use.reached else " (80 % passed)" if use.warned else ""
    return f"{_number(use.used)} of {_number(use.limit)}{word}"


def _number(value: float) -> str:
    """Three decimals at most: a thousandth of an hour is a few seconds."""
    return f"{value:,.3f}".rstrip("0").rstrip(".")
