"""From what an agent asks to what it is told: the guard's decision, offline and in one pass.

No socket, no database, and no project no guard: outside of one everything passes. What needs a
parser is imported only for a command with a trigger word in it.
"""

from __future__ import annotations

import sys

from tallystick.agents import answers, dialects, project, spool, surroundings
from tallystick.agents.digest import text_digest
from tallystick.shell.triggers import could_matter

TYPE_CHECKING = False  # typing costs 6 ms, and the hook runs before every command
if TYPE_CHECKING:
    from tallystick.agents.answers import Answer
    from tallystick.agents.dialects import Asked
    from tallystick.agents.project import Accepted
    from tallystick.agents.surroundings import Surroundings
    from tallystick.shell.classify import Judgement

EXPERIMENT, UNKNOWN, UTILITY = "experiment", "unknown", "utility"
CONVERTED, DENIED, WARNED = "converted", "denied", "warned"
EXCEPTED, FAILED = "excepted", "failed"
OPAQUE = frozenset({"too_deep", "too_long", "unreadable"})
"""Reasons for which nothing is converted: what cannot be inspected is explained."""
PLAIN_PARSER = "none"
"""What a decision names where it failed before anything was parsed."""


class Decision:
    """What was found of one command, and what follows."""

    __slots__ = ("accepted", "asked", "exception", "id", "judgement", "mode", "session")

    def __init__(self, asked: Asked, session: str | None, accepted: Accepted) -> None:
        """The id is the same for every hook that is loaded for one call of a tool."""
        self.asked = asked
        self.session = session
        self.accepted = accepted
        self.mode = project.mode_for(accepted, can_rewrite=asked.can_rewrite)
        self.id = decision_id(session, asked.call or asked.turn, asked.command or "")
        self.judgement: Judgement | None = None
        self.exception: str | None = None


def decision_id(session: str | None, call: str | None, command: str) -> str:
    """`dec_` and 12 hex digits of session, call (or turn) and command."""
    return f"dec_{text_digest(chr(0).join((session or '', call or '', command)))[:12]}"


def session_of(asked: Asked, here: Surroundings) -> str | None:
    """The conversation: the payload's, else the environment's."""
    return asked.session or surroundings.session_of(here.variables)


def accepted_rules(root: str, here: Surroundings) -> Accepted:
    """The rules in force; the defaults, which allow less, where the accepted ones are damaged."""
    try:
        return project.load_accepted(root, here.tally_home)
    except (OSError, ValueError, RecursionError):
        return project.Accepted(root)


def judged(command: str, cwd: str, accepted: Accepted, here: Surroundings) -> Judgement | None:
    """What a command would do by the project's rules; None for what is no experiment."""
    rules = accepted.rules()
    if not (rules["experiment"] or rules["tests_are_runs"] or could_matter(command)):
        return None
    from tallystick.shell.classify import Around, Rules, judge

    around = Around(cwd=cwd, home=here.user_home, read=here.read, variables=here.variables)
    judgement = judge(command, around=around, rules=Rules(**rules))
    return None if judgement.verdict == UTILITY else judgement


def guard(decision: Decision, here: Surroundings) -> Answer:
    """A shell command: passed, or acted on as the mode says."""
    asked, command = decision.asked, decision.asked.command or ""
    found = judged(command, asked.cwd or here.cwd, decision.accepted, here)
    if found is None:
        return answers.passed()
    decision.judgement = found
    if decision.mode == project.WARN:
        return _warned(decision, here)
    if _is_excepted(decision, here):
        record(decision, EXCEPTED, here)
        return answers.passed()
    if decision.mode == project.CONVERT and found.reason not in OPAQUE and is_text(command):
        return _converted(decision, here)
    return _denied(decision, here)


def _warned(decision: Decision, here: Surroundings) -> Answer:
    from tallystick.agents import words

    problem = record(decision, WARNED, here)
    assert decision.judgement is not None  # noqa: S101
    return answers.noted(decision.asked, f"{words.warning(decision.judgement)}{problem}")


def _converted(decision: Decision, here: Surroundings) -> Answer:
    from tallystick.agents import words

    line = registered_form(decision, here, origin=decision.id)
    problem = record(decision, CONVERTED, here)
    return answers.rewritten(decision.asked, {"command": line}, f"{words.CONVERTED}{problem}")


def _denied(decision: Decision, here: Surroundings) -> Answer:
    """Refused; the printed form has no origin, because it may be run more than once."""
    from tallystick.agents import words

    line = registered_form(decision, here) if is_text(decision.asked.command or "") else None
    problem = record(decision, DENIED, here)
    assert decision.judgement is not None  # noqa: S101
    reason = words.denial(decision.judgement, line, decision.id)
    return answers.denied(decision.asked, f"{reason}{problem}")


def registered_form(decision: Decision, here: Surroundings, origin: str | None = None) -> str:
    """The shell line that runs the command as a registered run."""
    from tallystick.agents.entry import tally_program
    from tallystick.shell.convert import exec_line

    return exec_line(
        decision.asked.command or "",
        program=here.program or tally_program(),
        session=decision.session,
        origin=origin,
    )


def _is_excepted(decision: Decision, here: Surroundings) -> bool:
    from tallystick.agents import exceptions

    decision.exception = exceptions.use(
        decision.asked.command or "",
        session=decision.session,
        call=decision.asked.call,
        decision=decision.id,
        now=here.now(),
        tally_home=here.tally_home,
        known_ledgers=surroundings.known_ledgers(here.variables),
    )
    return decision.exception is not None


def record(decision: Decision, action: str, here: Surroundings) -> str:
    """Leave a decision for the ledger; empty, or what to add where that did not work."""
    from tallystick.agents import words

    found, asked = decision.judgement, decision.asked
    document = {
        "id": decision.id,
        "at": here.now(),
        "agent": asked.agent,
        "session": _clean(decision.session) if decision.session else None,
        "call": asked.call,
        "project": _clean(decision.accepted.root),
        "cwd": _clean(asked.cwd or here.cwd),
        "command": _clean(asked.command or ""),
        "verdict": str(found.verdict) if found else UNKNOWN,
        "reason": found.reason if found else FAILED,
        "detail": _clean(found.detail)[: words.MOST_DETAIL] if found else "",
        "action": action,
        "mode": decision.mode,
        "policy": decision.accepted.name,
        "parser": _parser() if found else PLAIN_PARSER,
        "exception": decision.exception,
    }
    try:
        spool.write(here.tally_home, document)
    except (OSError, ValueError) as error:
        return f"\n{words.unrecorded(error)}"
    return ""


def _parser() -> str:
    """What `shell.parse.version` says, in a tenth of its time where the grammar was used."""
    version = surroundings.installed_version("tree_sitter_bash")
    if version is not None and "tree_sitter" in sys.modules:
        return f"tree-sitter-bash {version}"
    from tallystick.shell import parse

    return parse.version()


def introduce(asked: Asked, here: Surroundings) -> Answer:
    """A call of Tallystick's own tools is told its session, which HTTP servers never hear.

    Not for Codex: there a changed input has to be allowed, and its calls name their thread.
    """
    session = session_of(asked, here)
    rewrites = asked.agent in dialects.REWRITING - {dialects.CODEX, dialects.COPILOT}
    if session is None or not rewrites or asked.tool_input.get("chat_session_id"):
        return answers.passed()
    return answers.completed(asked, {"chat_session_id": session})


def is_text(command: str) -> bool:
    """Whether a command can be written down for a shell: no NUL, no half of a surrogate pair."""
    try:
        command.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in command


def _clean(text: str) -> str:
    """Text that a ledger takes: what no shell could take either is replaced."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
