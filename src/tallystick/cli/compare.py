"""`tally compare`: runs beside each other."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, output

if TYPE_CHECKING:
    from tallystick.wire.comparison import Comparison

MOST_BESIDE = 8
"""Runs that fit beside each other; of more, groups are shown alone."""


def compare(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids of runs, whole.")
    ] = None,
    *,
    chosen: options.Filter = None,
    sort: options.Sort = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", help="Only this metric; repeatable.")
    ] = None,
    seed: Annotated[
        list[str] | None,
        typer.Option(
            "--seed", help="A parameter that only repeats a trial. [default: those named seed]"
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show what differs between runs, their metrics, and what seeds alone change.

    Runs are named by their ids, or found by --filter. Intervals are of the mean, Student's t, 95 %.
    """
    output.require_change(runs or None, chosen)
    told = options.client_for().compare(
        *(runs or ()), filter=chosen, sort=sort, metrics=metric or None, seeds=seed or None
    )
    if as_json:
        output.emit(told)
        return
    if told.same:
        output.say("the same: " + _words(told.same))
    if len(told.runs) <= MOST_BESIDE:
        _show_beside(told)
    _show_groups(told)
    if told.more:
        output.note("more runs match the filter; the first 200 of them are compared")


def _show_beside(told: "Comparison") -> None:
    """A row for each thing that differs, a column for each run."""
    rows: list[tuple[str, ...]] = [
        ("name", *(run.name or "" for run in told.runs)),
        ("status", *(run.status for run in told.runs)),
    ]
    rows += [(f"param.{name}", *map(_short, found)) for name, found in told.different.items()]
    rows += [(f"metric.{name}", *map(_short, one.last)) for name, one in told.metrics.items()]
    output.table(("", *(run.id for run in told.runs)), rows, empty="no such runs")


def _show_groups(told: "Comparison") -> None:
    """A row for each set of replicates and metric."""
    rows = [
        (
            _words(group.params) or "all alike",
            str(len(group.runs)),
            name,
            str(spread.n),
            _short(spread.mean),
            "" if spread.interval is None else " to ".join(map(_short, spread.interval)),
            "" if spread.sd is None else _short(spread.sd),
        )
        for group in told.groups
        for name, spread in group.metrics.items()
    ]
    if any(len(group.runs) > 1 for group in told.groups):
        heads = ("PARAMETERS", ">RUNS", "METRIC", ">N", ">MEAN", "95 % INTERVAL", ">SD")
        output.table(heads, rows, empty="no run of these has succeeded and measured anything")
    left_out = sum(len(group.left_out) for group in told.groups)
    if left_out:
        output.note(f"{left_out} runs did not succeed, and count in no mean")


def _words(params: "dict[str, Any]") -> str:
    return " ".join(f"{name}={_short(value)}" for name, value in params.items())


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
