"""`tally policy`: what happens to requests without a session or a sweep, and rules of projects."""

import hashlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, output
from tallystick.cli.output import UsageError
from tallystick.errors import InvalidError, NotFoundError, VerificationError

if TYPE_CHECKING:
    from tallystick.wire.guard_views import ProjectPolicyView
    from tallystick.wire.views import PolicyView

app = typer.Typer(
    no_args_is_help=True,
    help="Policy: what happens to requests without a session or a sweep; the guard's rules.",
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


@app.command(epilog=options.examples("tally policy accept", "tally policy accept ~/project --yes"))
def accept(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="In the project. [default: the present directory]"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: options.Json = False,
) -> None:
    """Read a project's .tally/policy.toml, and let its rules count for the guard; people only.

    Until then, and after every change of the file, those count that were accepted last.
    """
    from tallystick.agents import policy_file, surroundings

    around = surroundings.of_process()
    root = _root_of(directory or Path(), around.user_home)
    text = _read(root)
    rules = policy_file.parse(text)
    _show_rules(root, text, rules)
    if not yes:
        _ask()
    accepted = options.client_for().accept_policy(root, text.decode())
    if accepted.sha256 != hashlib.sha256(text).hexdigest():
        raise VerificationError(
            f"the server accepted other rules: expected {hashlib.sha256(text).hexdigest()}; "
            f"found {accepted.sha256}",
            code="policy_mismatch",
        )
    at = round(accepted.accepted_at * 1000)
    policy_file.write_accepted(root, around.tally_home, text, accepted_at=at, seq=accepted.seq)
    if as_json:
        output.emit(accepted)
        return
    again = ", as before" if accepted.already else ""
    output.say(f"accepted for {root}{again}: entry {accepted.seq}")


def _root_of(directory: Path, home: str) -> str:
    """The project that a directory is in; raises `NotFoundError`."""
    from tallystick.agents import project

    start = str(directory.expanduser().absolute())
    root = project.find_root(start, home)
    if root is None:
        raise NotFoundError(
            f"expected a project with {project.MARKER}/; found none at {start} or above",
            code="project_missing",
            next_actions=("tally init",),
        )
    return root


def _read(root: str) -> bytes:
    """The rules that a project would like; raises `NotFoundError` and `InvalidError`."""
    from tallystick.agents import project

    path = Path(project.project_policy(root))
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(
            f"expected rules in {path}; found no such file, so the guard's own rules count",
            code="policy_missing",
            hint='write it, for example with: mode = "deny"',
        ) from error
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error}", code="policy_unreadable") from error


def _show_rules(root: str, text: bytes, rules: dict[str, Any]) -> None:
    """What is about to count, on standard error, so that an answer in JSON stays one."""
    output.note(output.plain(f"{root}, sha256 {hashlib.sha256(text).hexdigest()}:"))
    for line in text.decode().splitlines():
        output.note(output.plain(f"  {line}"))
    mode = rules["mode"] or "convert where the agent can, else deny"
    output.note(f"mode: {mode}; commands matching allow and utility_scripts pass the guard")


def _ask() -> None:
    """Somebody says yes; raises `UsageError` where nobody can, and `typer.Exit` when they do not.

    That nobody sits there is no yes: an agent must not be able to accept by being silent.
    """
    if not output.is_terminal():
        raise UsageError(
            "expected a person at a terminal who reads the rules and accepts them; found none",
            code="answer_needed",
            hint="a person runs it at a terminal, or says --yes",
        )
    sys.stderr.write("Let these rules count? [y/N] ")  # typer.confirm writes to the answer, too
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        output.note("nothing was changed")
        raise typer.Exit(output.REFUSED)


@app.command(epilog=options.examples("tally policy projects", "tally policy projects --json"))
def projects(as_json: options.Json = False) -> None:
    """Projects whose rules people accepted."""
    found = options.client_for().project_policies()
    if as_json:
        output.emit(found)
        return
    now = output.now_seconds()
    output.table(
        ("PROJECT", "MODE", "SHA256", "ACCEPTED", "BY", ">ENTRY"),
        (_row(one, now=now) for one in found),
        empty="nobody has accepted rules for any project",
    )


def _row(one: "ProjectPolicyView", *, now: float) -> tuple[str, ...]:
    return (
        one.root,
        one.mode or "",
        one.sha256[:12],
        output.ago(one.accepted_at, now=now),
        one.accepted_by,
        str(one.seq),
    )
