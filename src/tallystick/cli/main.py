"""The `tally` command: the table of its nouns, and the way from an error to an exit code."""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from tallystick import __version__
from tallystick.cli import (
    alert,
    artifact,
    attempt,
    brief,
    budget,
    cluster,
    compare,
    convert,
    demo,
    doctor,
    guard,
    init,
    ledger,
    lint,
    mcp,
    metric,
    options,
    output,
    plan,
    policy,
    queue,
    run,
    server,
    session,
    sweep,
    token,
)
from tallystick.cli import (
    exec as exec_noun,
)
from tallystick.errors import TallystickError

app = typer.Typer(
    name="tally",
    help="Tallystick: the experiment server that agents cannot skip.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=options.examples(
        "tally up",
        "tally exec -- python train.py --lr 1e-2",
        "tally run list",
        "tally demo",
    ),
)


def _show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        output.say(f"tallystick {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Tallystick: the experiment server that agents cannot skip."""


app.command(
    "up", epilog=options.examples("tally up", "tally up --port 0 --ready-file /tmp/ready.json")
)(server.up)
app.command("demo", epilog=options.examples("tally demo", "tally demo --exit"))(demo.demo)
app.command(
    "exec",
    context_settings=options.TAKES_A_COMMAND,
    epilog=options.examples(
        "tally exec -- python train.py --lr 1e-2",
        "tally exec --sweep swp_0123456789ab -- 'python train.py | tee log.txt'",
    ),
)(exec_noun.execute)
app.command(
    "init", epilog=options.examples("tally init", "tally init --dry-run", "tally init --remove")
)(init.init)
app.command("doctor", epilog=options.examples("tally doctor", "tally doctor --json"))(doctor.doctor)
app.command("mcp", epilog=options.examples("tally mcp", "tally mcp --session my-conversation"))(
    mcp.serve
)
app.command("brief", epilog=options.examples("tally brief", "tally brief --session 5f0c1d2e"))(
    brief.brief
)
app.command(
    "lint",
    epilog=options.examples(
        "tally lint 'python train.py --lr 1e-2'", "tally lint --strict - < command.txt"
    ),
)(lint.lint)
app.command(
    "convert",
    epilog=options.examples(
        "tally convert 'for lr in 0.1 0.01; do python train.py --lr $lr; done'",
        "tally convert --json - < command.txt",
    ),
)(convert.convert)
app.command(
    "compare",
    epilog=options.examples(
        "tally compare run_0123456789ab run_ba9876543210",
        "tally compare --filter sweep:swp_0123456789ab --metric val/loss",
    ),
)(compare.compare)
app.command("queue", epilog=options.examples("tally queue", "tally queue --json"))(queue.show)
app.add_typer(run.app, name="run")
app.add_typer(attempt.app, name="attempt")
app.add_typer(metric.app, name="metric")
app.add_typer(artifact.app, name="artifact")
app.add_typer(sweep.app, name="sweep")
app.add_typer(session.app, name="session")
app.add_typer(alert.app, name="alert")
app.add_typer(budget.app, name="budget")
app.add_typer(cluster.app, name="cluster")
app.add_typer(token.app, name="token")
app.add_typer(plan.app, name="plan")
app.add_typer(policy.app, name="policy")
app.add_typer(guard.app, name="guard")
app.command("hook", epilog=options.examples("tally hook --help", "tally hook < payload.json"))(
    guard.hook
)
app.add_typer(ledger.app, name="ledger")
app.add_typer(server.app, name="server")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; an error that Tallystick raised on purpose is never a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own = given[: given.index("--")] if "--" in given else given
    try:
        app(args=given, prog_name="tally")
    except TallystickError as error:
        output.complain(error, as_json="--json" in own)
        sys.exit(output.exit_code_of(error))
    except OSError as error:  # a full disk, a directory that is gone: no fault of the program
        output.note(f"error: {error}")
        sys.exit(output.REFUSED)
    sys.exit(output.OK)
