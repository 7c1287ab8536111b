"""`tally alert`: what asks for somebody, and the answer."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tallystick.cli import options, output

if TYPE_CHECKING:
    from tallystick.wire.signal_views import AlertView

app = typer.Typer(
    no_args_is_help=True, help="Alerts: runs, agents and rules ask somebody to look at a run."
)


class Action(StrEnum):
    """What follows from an answer."""

    CONTINUE = "continue"
    STOP = "stop"
    NOTE = "note"


class Severity(StrEnum):
    """How urgent it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@app.command(
    "list",
    epilog=options.examples(
        "tally alert list", "tally alert list --all", "tally alert list --run run_0123456789ab"
    ),
)
def list_alerts(
    run: Annotated[str | None, typer.Option("--run", help="About this run only.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", help="Of this conversation only.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Answered ones, too.")] = False,
    limit: options.Limit = 30,
    as_json: options.Json = False,
) -> None:
    """List alerts that nobody has answered, newest first."""
    client = options.client_for()
    status: Literal["pending"] | None = None if everything else "pending"
    found = list(client.alerts(run=run, session=session, status=status, limit=limit))
    if as_json:
        output.emit(found)
        return
    now = output.now_seconds()
    output.table(
        ("ID", "RUN", "SEVERITY", "STATUS", "RAISED", "MESSAGE", "CHOICES"),
        (
            (
                alert.id,
                alert.run_id,
                alert.severity,
                _state(alert),
                output.ago(alert.timestamp, now=now),
                alert.message,
                " | ".join(alert.choices),
            )
            for alert in found
        ),
        empty="nobody is asked for" if not everything else "no alert was ever raised",
    )


@app.command(
    "raise",
    epilog=options.examples(
        "tally alert raise run_0123456789ab 'the loss is NaN: go on?'",
        "tally alert raise run_0123456789ab 'the disk is nearly full' --severity critical \\\n"
        "      --choice 'give up=stop' --choice 'I made room=continue' --choice 'look later'",
    ),
)
def raise_alert(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, whole.")],
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="What was seen, and what is asked.")
    ],
    *,
    choice: Annotated[
        list[str] | None,
        typer.Option(
            "--choice",
            metavar="LABEL[=ACTION]",
            help="An answer to choose; ACTION (continue, stop, note) is what follows from it, by "
            "default that of its own name, else note. Repeatable. [default: continue, stop]",
        ),
    ] = None,
    severity: Annotated[
        Severity, typer.Option("--severity", help="How urgent it is.")
    ] = Severity.WARNING,
    as_json: options.Json = False,
) -> None:
    """Ask somebody to look at a run, and print the alert's id; the run goes on meanwhile."""
    choices = [choice_of(words) for words in choice or ("continue", "stop")]
    with options.creating(None) as client:
        alert = client.raise_alert(run_id, message, choices, severity=severity.value)
        if as_json:
            output.emit(alert)
            return
        output.say(alert.id)
        output.note(f"whoever looks answers with: tally alert respond {alert.id} CHOICE")


def choice_of(words: str) -> "str | dict[str, str]":
    """A choice as it is sent; an equals sign counts only before the name of an action."""
    label, _equals, action = words.rpartition("=")
    if label and action in set(Action):
        return {"label": label, "action": action}
    return words


@app.command(
    epilog=options.examples(
        "tally alert respond alr_0123456789ab continue",
        "tally alert respond alr_0123456789ab stop --note 'the loss is NaN'",
        "tally alert respond alr_0123456789ab --action stop",
    )
)
def respond(
    alert_id: Annotated[str, typer.Argument(metavar="ALERT", help="Id of the alert, whole.")],
    choice: Annotated[
        str | None,
        typer.Argument(metavar="[CHOICE]", help="One of its choices, word for word."),
    ] = None,
    action: Annotated[
        Action | None,
        typer.Option("--action", help="What follows. [default: what the choice stands for]"),
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="Why, for the record.")] = None,
    as_json: options.Json = False,
) -> None:
    """Answer an alert, once; `stop` ends the run."""
    answer = options.client_for().respond_alert(
        alert_id, choice, action=None if action is None else action.value, note=note
    )
    if as_json:
        output.emit(answer)
        return
    output.say(f"{answer.message}: {answer.alert.action}")
    if answer.alert.action == "stop":
        output.note(f"see its end with: tally run wait {answer.alert.run_id}")


def _state(alert: "AlertView") -> str:
    """Pending, or what was answered."""
    return alert.status if alert.action is None else alert.action
