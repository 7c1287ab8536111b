"""The beginning and the end of a session: what an agent is told, and what it left running."""

from __future__ import annotations

import os

from tallystick.agents import answers, deciding, dialects, project, words

TYPE_CHECKING = False  # typing costs 6 ms
if TYPE_CHECKING:
    from typing import Any

    from tallystick.agents.answers import Answer
    from tallystick.agents.deciding import Decision
    from tallystick.agents.surroundings import Surroundings

ENV_FILE_VARIABLE = "CLAUDE_ENV_FILE"
MOST_TASKS = 20
"""Background commands that are looked at; the rest waits for the next end."""
_ENDED = frozenset({"completed", "failed", "killed", "stopped", "exited", "cancelled", "canceled"})


def start(decision: Decision, here: Surroundings) -> Answer:
    """A session begins: facts about the project, and its id for the shells to come."""
    asked, session = decision.asked, decision.session
    file = here.variables.get(ENV_FILE_VARIABLE, "")
    if asked.agent == dialects.CLAUDE and file and session:
        _export(file, session)
    how = words.HOW.get(project.mode_for(decision.accepted, can_rewrite=_rewrites(decision)))
    if how is None:
        return answers.passed()
    text = words.STARTED.format(how=how, session=session or "not known to this hook")
    return answers.started(asked, text)


def stop(decision: Decision, here: Surroundings) -> Answer:
    """A session would end: experiments that it left in the background are named, once."""
    payload = decision.asked.payload
    if payload.get("stop_hook_active") or decision.mode == project.WARN:
        return answers.passed()
    left = []
    for command, cwd in _running(payload.get("background_tasks")):
        where = cwd or decision.asked.cwd or here.cwd
        found = deciding.judged(command, where, decision.accepted, here)
        if found is not None and found.verdict == deciding.EXPERIMENT:
            left.append(command)
    return (
        answers.kept_going(decision.asked, words.still_running(left)) if left else answers.passed()
    )


def _running(tasks: Any) -> list[tuple[str, str]]:
    """Commands of the background tasks that have not ended, with their directory where known."""
    if not isinstance(tasks, list):
        return []
    found = []
    for task in tasks[:MOST_TASKS]:
        if not isinstance(task, dict) or str(task.get("status", "")).lower() in _ENDED:
            continue
        command, cwd = task.get("command"), task.get("cwd")
        if isinstance(command, str):
            found.append((command, cwd if isinstance(cwd, str) else ""))
    return found


def _rewrites(decision: Decision) -> bool:
    """Whether this agent's shell commands can be rewritten; a start names no tool."""
    return decision.asked.agent in dialects.REWRITING


def _export(file: str, session: str) -> None:
    """The session for every later shell of the agent; said once, and no reason to fail."""
    quoted = session.replace("'", "'\"'\"'")
    line = f"export TALLY_CHAT_SESSION_ID='{quoted}'\n".encode(errors="replace")
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if line not in os.read(descriptor, 1_048_576):
                os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError:
        return
