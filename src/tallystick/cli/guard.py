"""`tally guard`: what the guard before agents' commands would say, has said, and may let pass."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import options, output
from tallystick.cli.command import command_of
from tallystick.errors import InvalidError, NotFoundError

if TYPE_CHECKING:
    from tallystick.agents.project import Accepted
    from tallystick.agents.surroundings import Surroundings
    from tallystick.wire.guard_views import DecisionView, ExceptionView

app = typer.Typer(
    no_args_is_help=True,
    help="The guard before agents' commands: explain it, look at it, let one command pass.",
)

DECISION_PREFIX = "dec_"
MOST_LOOKED_AT = 1_000
"""Decisions of the ledger among which one is looked for."""


class Action(StrEnum):
    """What the guard did."""

    CONVERTED = "converted"
    DENIED = "denied"
    WARNED = "warned"
    EXCEPTED = "excepted"
    FAILED = "failed"


@app.command(
    context_settings=options.TAKES_A_COMMAND,
    epilog=options.examples(
        "tally guard explain 'python train.py --lr 1e-2'",
        "tally guard explain --json 'bash run_grid.sh'",
        "tally guard explain - < command.txt",
    ),
)
def explain(
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND", help="As an agent would type it, in quotes; - reads standard input."
        ),
    ],
    as_json: options.Json = False,
) -> None:
    """How a command would be judged here, and why; nothing is run, and no server is asked.

    By the rules that were accepted for the project around the present directory. Scripts that it
    names are read. Verdicts: experiment, unknown (acted on alike) and utility, which passes.
    """
    as_json, words = _with_json(command, as_json=as_json)
    text = sys.stdin.read() if words == ["-"] else command_of(words)
    found = _explained(text)
    if as_json:
        output.emit(found)
        return
    shown = {name: value for name, value in found.items() if name not in {"span", "exact"}}
    shown["via"] = " > ".join(found["via"])
    if not found["exact"]:
        shown["parser"] = f"{found['parser']}, with errors in the line"
    output.facts(shown.items())


def _with_json(words: list[str], *, as_json: bool) -> tuple[bool, list[str]]:
    """`--json` counts behind the command, too, where it stands alone at the end."""
    if len(words) == 2 and words[1] == "--json":
        return True, words[:1]
    return as_json, words


def _explained(command: str) -> dict[str, Any]:
    """The judgement, and what follows from it in this project."""
    from tallystick.agents import deciding, project, surroundings
    from tallystick.shell import parse
    from tallystick.shell.classify import Around, Rules, judge

    here = surroundings.of_process()
    root = project.find_root(here.cwd, here.user_home)
    accepted = deciding.accepted_rules(root or here.cwd, here)
    around = Around(cwd=here.cwd, home=here.user_home, read=here.read, variables=here.variables)
    found = judge(command, around=around, rules=Rules(**accepted.rules()))
    return {
        "verdict": str(found.verdict),
        "reason": found.reason,
        "detail": found.detail,
        "span": list(found.span),
        "text": found.text,
        "via": list(found.via),
        "exact": found.exact,
        "parser": parse.version(),
        "project": root,
        "mode": None if root is None else _mode_words(accepted),
        "policy": accepted.name,
        "outcome": _outcome(str(found.verdict), root, accepted),
    }


def _mode_words(accepted: "Accepted") -> str:
    from tallystick.agents import project

    return accepted.mode or project.CONVERT


def _outcome(verdict: str, root: str | None, accepted: "Accepted") -> str:
    """What would happen to it, in a sentence."""
    from tallystick.agents import project

    if verdict == "utility":
        return "it passes"
    if root is None:
        return "it passes here: no directory up from here has .tally/ (tally init makes one)"
    words = {
        project.CONVERT: "it becomes `tally exec`, or is refused where a hook cannot rewrite",
        project.DENY: "it is refused, with the registered form to run instead",
        project.WARN: "it passes, and is noted in the record",
        project.OFF: "it passes: the guard is off here",
    }
    return words[_mode_words(accepted)]


@app.command(
    epilog=options.examples(
        "tally guard allow dec_0123456789ab",
        "tally guard allow 'python tools/sync.py' --seconds 3600",
    )
)
def allow(
    what: Annotated[
        str,
        typer.Argument(
            metavar="COMMAND|DECISION", help="The command as the agent typed it, or dec_… of it."
        ),
    ],
    session: Annotated[
        str | None,
        typer.Option(
            "--session", help="For this conversation only. [default: the decision's, else any]"
        ),
    ] = None,
    seconds: Annotated[
        int, typer.Option("--seconds", min=1, max=86_400, help="How long it waits to be used.")
    ] = 900,
    as_json: options.Json = False,
) -> None:
    """Let one command pass the guard once; people only, and it is in the ledger.

    It counts for exactly this text, byte for byte, and is used up by the first call it lets pass.
    """
    from tallystick.agents import exceptions, surroundings

    here = surroundings.of_process()
    command, of_decision = _named(what, here)
    granted = options.client_for().grant_exception(
        command, session=session or of_decision, expires_seconds=seconds
    )
    path = exceptions.keep(here.tally_home, command, granted.note)
    if as_json:
        output.emit(granted)
    else:
        _say_granted(granted)
    if not exceptions.is_signed(granted.note, surroundings.known_ledgers(here.variables)):
        output.note(
            f"warning: no key that is pinned here signed it, so the guard will not take {path}: "
            "pin the ledger's with `tally ledger verify`"
        )


def _say_granted(granted: "ExceptionView") -> None:
    who = f"in session {granted.session_id}" if granted.session_id else "in any session"
    left = output.span(max(0.0, granted.expires_at - output.now_seconds()))
    output.say(f"{granted.id}: passes once, {who}, within {left}:")
    output.say(output.plain(granted.command))


def _named(what: str, here: "Surroundings") -> tuple[str, str | None]:
    """A command, and the session of the decision it was named by; raises `NotFoundError`."""
    from tallystick.agents import spool

    if not what.startswith(DECISION_PREFIX) or len(what.split()) != 1:
        if not what.strip():
            raise InvalidError("expected a command; found nothing", code="command_missing")
        return what, None
    waiting = spool.read(here.tally_home, what)
    if waiting is not None:
        session = waiting.get("session")
        return str(waiting.get("command", "")), session if isinstance(session, str) else None
    for decision in options.client_for().decisions(limit=MOST_LOOKED_AT):
        if decision.id == what and not decision.command_truncated:
            return decision.command, decision.session_id
    raise NotFoundError(
        f"expected a decision of the guard, in its spool or among the last {MOST_LOOKED_AT} of the "
        f"ledger; found none with the id {what}",
        code="decision_not_found",
        next_actions=("tally guard list", "tally guard allow 'COMMAND'"),
    )


@app.command(epilog=options.examples("tally guard status", "tally guard status --json"))
def status(as_json: options.Json = False) -> None:
    """The mode in force in this directory, why, and whether its policy.toml is accepted."""
    from tallystick.agents import deciding, project, spool, surroundings
    from tallystick.shell import parse

    here = surroundings.of_process()
    root = project.find_root(here.cwd, here.user_home)
    found: dict[str, Any] = {"project": root, "mode": None, "because": "", "policy": None}
    if root is None:
        found["because"] = "no directory from here upwards has .tally/: the guard passes everything"
    else:
        accepted = deciding.accepted_rules(root, here)
        found["mode"], found["because"] = _mode_and_why(accepted)
        found["policy"] = _policy_words(root, here)
        found["rules"] = {name: value for name, value in accepted.rules().items() if value}
    found["parser"] = parse.version()
    found["waiting"] = spool.count(here.tally_home)
    found["home"] = here.tally_home
    if as_json:
        output.emit(found)
        return
    output.facts(found.items())
    if root is None:
        output.note("make this a project of the guard with: tally init")


def _mode_and_why(accepted: "Accepted") -> tuple[str, str]:
    from tallystick.agents import project

    if accepted.mode is not None:
        return accepted.mode, "the accepted policy says so"
    return (
        project.CONVERT,
        "nothing else was accepted; for agents whose hook cannot rewrite a command it is deny",
    )


def _policy_words(root: str, here: "Surroundings") -> str:
    """What policy.toml is worth: absent, accepted, changed since, not accepted or invalid."""
    from pathlib import Path

    from tallystick.agents import policy_file, project
    from tallystick.agents.digest import sha256_hex

    path = Path(project.project_policy(root))
    try:
        accepted = project.load_accepted(root, here.tally_home)
    except (OSError, ValueError, RecursionError) as error:
        return f"the accepted rules cannot be read, so the defaults rule: {error}"
    try:
        text = path.read_bytes()
    except OSError:
        return "absent" if accepted.sha256 is None else "absent; accepted rules rule"
    if accepted.sha256 == sha256_hex(text):
        return "accepted"
    try:
        policy_file.parse(text)
    except InvalidError as error:
        return f"invalid, and not in force: {error.detail}"
    if accepted.sha256 is None:
        return "not accepted, so not in force: tally policy accept"
    return "changed since it was accepted; the accepted rules rule: tally policy accept"


@app.command(
    "list",
    epilog=options.examples("tally guard list", "tally guard list --action denied --session S"),
)
def list_decisions(
    session: Annotated[
        str | None, typer.Option("--session", help="Of this conversation only.")
    ] = None,
    action: Annotated[Action | None, typer.Option("--action", help="Of this kind only.")] = None,
    limit: options.Limit = 30,
    as_json: options.Json = False,
) -> None:
    """What the guard did, newest first; commands that are no experiment are never recorded."""
    client = options.client_for()
    found = list(
        client.decisions(
            session=session, action=None if action is None else action.value, limit=limit
        )
    )
    if as_json:
        output.emit(found)
        return
    now = output.now_seconds()
    output.table(
        ("ID", "AGENT", "ACTION", "VERDICT", "REASON", "WHEN", "COMMAND"),
        (_row(one, now=now) for one in found),
        empty="the guard has acted on no command",
    )


def _row(one: "DecisionView", *, now: float) -> tuple[str, ...]:
    return (
        one.id,
        one.agent,
        one.action,
        one.verdict,
        one.reason,
        output.ago(one.at, now=now),
        one.command,
    )


def hook(
    dialect: Annotated[
        str | None,
        typer.Option("--dialect", metavar="AGENT", help="Whose payload it is, where it is silent."),
    ] = None,
) -> None:
    """Answer an agent that asks about a command; written into its settings by `tally init`.

    Reads one hook payload (JSON) from standard input. The program answers before it comes here.
    """
    from tallystick.agents.hook import main

    raise typer.Exit(main(["--dialect", dialect] if dialect else []))
