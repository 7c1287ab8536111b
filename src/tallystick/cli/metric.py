"""`tally metric`: what runs have measured."""

import csv
import sys
from typing import Annotated, Any

import typer

from tallystick.cli import options, output

app = typer.Typer(no_args_is_help=True, help="Metrics: what runs have measured.")

Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, whole.")]


@app.callback()
def _noun() -> None:
    """Metrics: what runs have measured."""


@app.command(
    "show",
    epilog=options.examples(
        "tally metric show run_0123456789ab",
        "tally metric show run_0123456789ab val/loss val/accuracy",
    ),
)
def show(
    run_id: Run,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[METRIC]...", help="Only these.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show the metrics of a run: last, lowest and highest value of each."""
    told = options.client_for().metrics(run_id, *(keys or ()))
    if as_json:
        output.emit(told)
        return
    series: dict[str, list[dict[str, Any]]] = told.get("metricSeries", {})
    output.table(
        ("METRIC", ">STEP", ">LAST", ">LOWEST", ">HIGHEST"),
        (_row(name, points) for name, points in series.items() if points),
        empty=(
            f"no metric of that name; `tally metric show {run_id}` lists them"
            if keys
            else "nothing was measured; in a job: tallystick.log({'loss': 0.3}, step=10)"
        ),
    )
    if told.get("untold_keys"):
        output.note(f"{told['untold_keys']} more metrics; name those that you want")
    if told.get("unread_rows"):
        output.note(f"{told['unread_rows']} rows could not be read")


def _row(name: str, points: list[dict[str, Any]]) -> tuple[str, ...]:
    finite = [point["value"] for point in points if not isinstance(point["value"], str)]
    last = points[-1]
    lowest, highest = (min(finite), max(finite)) if finite else ("", "")
    return (name, *(_short(one) for one in (last["step"], last["value"], lowest, highest)))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@app.command(
    "csv",
    epilog=options.examples(
        "tally metric csv run_0123456789ab loss > loss.csv",
        "tally metric csv run_0123456789ab loss --buckets 5000",
    ),
)
def as_csv(
    run_id: Run,
    key: Annotated[str, typer.Argument(metavar="METRIC", help="One metric.")],
    buckets: Annotated[
        int | None, typer.Option(help="Stretches that a series of more than 2,000 points has.")
    ] = None,
) -> None:
    """Print the points of one metric as CSV; a long series is thinned, which is said."""
    told = options.client_for().metrics(run_id, key, buckets=buckets)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("step", "value", "time"))
    for point in told.get("metricSeries", {}).get(key, ()):
        writer.writerow((point["step"], point["value"], point.get("time", "")))
    if told.get("sampled"):
        output.note(
            f"{key} is longer than 2,000 points: each stretch shows its lowest and its highest; "
            "--buckets tells more"
        )
