"""`tally policy`: what happens to requests without a session or a sweep."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.cli import options, output
from tallystick.cli.output import UsageError

if TYPE_CHECKING:
    from tallystick.wire.views import PolicyView

app = typer.Typer(
    no_args_is_help=True, help="Policy: what happens to requests without a session or a sweep."
)


class Enforcement(StrEnum):
    """What happens to a request that breaks a rule."""

    ENFORCE = "enforce"
    WARN = "warn"


@app.command(epilog=options.examples("tally policy show"))
def show(as_json: options.Json = False) -> None:
    """The policy in force."""
    _show(options.client_for().policy(), as_json=as_json)


@app.command("set", epilog=options.examples("tally policy set --sweep warn"))
def set_policy(
    session: Annotated[
        Enforcement | None, typer.Option("--session", help="Requests without a session.")
    ] = None,
    sweep: Annotated[
        Enforcement | None, typer.Option("--sweep", help="Runs without a sweep.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Change the policy; people only, and every change is in the ledger."""
    if session is None and sweep is None:
        raise UsageError(
            "nothing to change: name --session, --sweep or both",
            code="policy_unchanged",
            next_actions=("tally policy set --sweep warn",),
        )
    policy = options.client_for().set_policy(
        session=session.value if session else None, sweep=sweep.value if sweep else None
    )
    _show(policy, as_json=as_json)


def _show(policy: "PolicyView", *, as_json: bool) -> None:
    """The two rules."""
    if as_json:
        output.emit(policy)
    else:
        output.facts((("session", policy.session), ("sweep", policy.sweep)))
