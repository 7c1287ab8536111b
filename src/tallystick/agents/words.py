"""What the guard tells agents and people, as facts about the project.

Orders in a foreign voice are taken for an attack, and rightly so.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs 6 ms
if TYPE_CHECKING:
    from tallystick.shell.classify import Judgement

MOST_SHOWN = 4_000
"""Characters of a command in a reason; agents put longer hook texts aside."""
MOST_DETAIL = 1_000

STARTED = (
    "This project keeps its experiments in a Tallystick ledger: training, evaluation, benchmarks "
    "and sweeps run as registered runs; {how}. The registered form of one is "
    "`tally exec -- COMMAND`, of a grid `tally sweep create`; `tally run wait ID` waits without "
    "polling. Tests, linters, git and other everyday commands pass untouched. "
    "`tally guard explain 'COMMAND'` says how a command is judged, `tally brief` what was tried so "
    "far; the skill tallystick-protocol has the rest. This conversation's chat_session_id: "
    "{session}."
)
MOST_WORDS = 120
"""Of the text at a session's start."""
HOW = {
    "convert": "one that is typed directly is rewritten to its registered form",
    "deny": "one that is typed directly is refused, with the registered form to use",
    "warn": "one that is typed directly passes and is noted in the record",
}
CONVERTED = (
    "Tallystick runs this command as a registered run, with its output and exit status unchanged; "
    "the run's id is printed first on standard error."
)


def shown(command: str) -> str:
    """A command for people: without control characters, cut where it is very long."""
    strange = "\N{REPLACEMENT CHARACTER}"
    text = "".join(c if c.isprintable() or c in "\n\t" else strange for c in command)
    if len(text) <= MOST_SHOWN:
        return text
    return f"{text[:MOST_SHOWN]}… ({len(text)} characters)"


def is_plain(text: str) -> bool:
    """Whether a text can be printed as it is: nothing in it moves anybody's cursor."""
    return all(c.isprintable() or c in "\n\t" for c in text)


def finding(judgement: Judgement) -> str:
    """What was found, and where."""
    verdict = (
        "this command starts an experiment outside a registered run"
        if judgement.verdict == "experiment"
        else "this command runs code that may be an experiment, outside a registered run"
    )
    via = f", through {shown(' > '.join(judgement.via))[:500]}" if judgement.via else ""
    place, detail = shown(judgement.text)[:200], shown(judgement.detail)[:MOST_DETAIL]
    where = f" Found: `{place}`{via}." if place else ""
    return f"Tallystick: {verdict} ({judgement.reason}: {detail}).{where}"


def denial(judgement: Judgement, converted: str | None, decision: str) -> str:
    """Why a command is refused, what to run instead, and what a person may do."""
    if converted is None or len(converted) > MOST_SHOWN or not is_plain(converted):
        instead = (
            "Registered form: tally exec -- COMMAND, where COMMAND is the same text in single "
            "quotes (or a script file that holds it, where it cannot be printed here)."
        )
    else:
        instead = f"Registered form, same output and exit status:\n{converted}"
    return (
        f"{finding(judgement)}\n{instead}\n"
        f"Where it is no experiment, a person may let it pass once, at a terminal: "
        f"tally guard allow {decision}"
    )


def warning(judgement: Judgement) -> str:
    """What the model hears where the project only wants to know."""
    return f"{finding(judgement)} It was not stopped; it is noted in the project's record."


def unrecorded(error: object) -> str:
    """Added where a decision could not be kept for the ledger."""
    return f"(This decision could not be kept for the record: {error}.)"


def broken(error: BaseException) -> str:
    """Why the guard says no without having judged."""
    what = f"{type(error).__name__}: {error}".strip()[:300]
    return (
        f"Tallystick's guard could not judge this command, so it does not pass ({shown(what)}). "
        "`tally guard explain 'COMMAND'` shows the failure, `tally doctor` looks for its cause; "
        "`tally exec -- COMMAND` runs the command as a registered run."
    )


def still_running(commands: list[str]) -> str:
    """Why an agent goes on: experiments in the background that nobody registered."""
    listed = "\n".join(f"- {shown(command)[:300]}" for command in commands)
    return (
        "These background commands look like experiments and belong to no registered run:\n"
        f"{listed}\nA run that Tallystick does not supervise has no record. The project keeps such "
        "work as `tally exec --detach -- COMMAND`; stop them and start them so, or say in your "
        "answer why they are none."
    )
