"""`tally hook`: what an agent calls before it runs a command, and when a session starts or ends.

Reads one JSON document from standard input and answers in the smallest form that the agent behind
it accepts. Decides alone: no socket, no server, no database. When anything goes wrong the command
does not run (exit status 2, which all agents know), and a deadline of its own comes before theirs,
because most of them take a hook that is late for one that agrees.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from tallystick.agents import answers, deciding, dialects, project, surroundings

TYPE_CHECKING = False  # typing costs 6 ms, and the hook runs before every command
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from tallystick.agents.answers import Answer
    from tallystick.agents.dialects import Asked
    from tallystick.agents.surroundings import Surroundings

MOST_INPUT_BYTES = 8 * 1024 * 1024
DEADLINE_SECONDS = 4.0
"""Agents wait for ten seconds as `tally init` asks them to, and for five at the least."""

HELP = """\
Usage: tally hook [--dialect AGENT]

  The guard's side of an agent: reads one hook payload (JSON) from standard
  input and answers it. `tally init` writes it into the agents' settings; nobody
  types it, except to try what it would say.

  Inside a project (a directory with .tally/, or below one) a command that
  starts an experiment is converted, refused or noted, as the project's mode
  says; everything else passes with an empty answer. Exit status 0: the answer
  stands on standard output; 2: refused, with the reason on standard error.

Options:
  --dialect AGENT  Whose payload it is, where the payload does not tell:
                   claude, codex, opencode, gemini, copilot, cursor, vscode, grok.
  -h, --help       Show this message and exit.

Example:
  echo '{"hook_event_name": "PreToolUse", "tool_name": "Bash", "session_id": "s1",
    "tool_input": {"command": "python train.py"}}' | tally hook --dialect claude
"""
AT_A_TERMINAL = (
    "tally hook waits for an agent's payload on standard input, and here is a terminal. "
    "See `tally hook --help` for an example, or ask about a command with "
    "`tally guard explain 'COMMAND'`.\n"
)


class Late(BaseException):
    """The deadline; no handler of other errors may swallow it."""


def main(arguments: Sequence[str]) -> int:
    """Answer one payload; the exit status. `arguments` are those after `hook`."""
    if "-h" in arguments or "--help" in arguments:
        _write(1, HELP.encode())
        return 0
    if os.isatty(0):
        _write(2, AT_A_TERMINAL.encode())
        return answers.BLOCKED
    hint = arguments[1] if len(arguments) == 2 and arguments[0] == "--dialect" else ""
    here = surroundings.of_process()
    signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE_SECONDS)
    content = b""
    try:
        content = _read_all(0)
        answer = run(content, here, hint)
    except Late:
        answer = on_failure(TimeoutError(f"no answer in {DEADLINE_SECONDS:g} s"), content, here)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return _say(answer)


def run(content: bytes, here: Surroundings, hint: str = "") -> Answer:
    """The answer to a payload, whatever its bytes are; raises nothing but `Late`."""
    if here.variables.get(surroundings.RUN_VARIABLE):  # inside a registered run
        return answers.passed()
    asked = None
    try:
        asked = read(content, here, hint)
        return decide(asked, here)
    except Exception as error:  # noqa: BLE001 - whatever it is, the command does not run
        return on_failure(error, content, here, asked)


def decide(asked: Asked, here: Surroundings) -> Answer:
    """What an agent is told; whatever it raises is a refusal."""
    if asked.kind == dialects.TOOL:
        return deciding.introduce(asked, here)
    if asked.kind == dialects.OTHER:
        return answers.passed()
    root = project.find_root(asked.cwd or here.cwd, here.user_home)
    if root is None:
        return answers.passed()
    rules = deciding.accepted_rules(root, here)
    decision = deciding.Decision(asked, deciding.session_of(asked, here), rules)
    if decision.mode == project.OFF:
        return answers.passed()
    if asked.kind == dialects.SHELL:
        return deciding.guard(decision, here)
    from tallystick.agents import occasions

    if asked.kind == dialects.START:
        return occasions.start(decision, here)
    return occasions.stop(decision, here)


def read(content: bytes, here: Surroundings, hint: str = "") -> Asked:
    """What a payload asks; raises ValueError for what is no JSON object."""
    if len(content) > MOST_INPUT_BYTES:
        raise ValueError(f"expected at most {MOST_INPUT_BYTES} bytes of payload; found more")
    payload = json.loads(content)
    if not isinstance(payload, dict):
        raise ValueError("expected a JSON object as payload; found something else")  # noqa: TRY004
    return dialects.read(payload, here.variables, hint)


def on_failure(
    error: BaseException, content: bytes, here: Surroundings, asked: Asked | None = None
) -> Answer:
    """Refused, where there may be a project to guard; its record says so, where one can be made."""
    from tallystick.agents import words

    roots = [project.find_root(cwd, here.user_home) for cwd in _places(content, here, asked)]
    root = next((found for found in roots if found), None)
    if root is None:
        return answers.passed()
    reason = words.broken(error)
    if asked is not None and asked.command is not None:
        decision = deciding.Decision(
            asked, deciding.session_of(asked, here), project.Accepted(root)
        )
        reason += deciding.record(decision, deciding.FAILED, here)
    return answers.failed(reason)


def _places(content: bytes, here: Surroundings, asked: Asked | None) -> list[str]:
    """Where the command may have been meant to run."""
    if asked is not None and asked.cwd:
        return [asked.cwd]
    try:
        found = json.loads(content[:MOST_INPUT_BYTES]).get("cwd")
    except (ValueError, RecursionError, AttributeError):
        found = None
    named = isinstance(found, str) and "\0" not in found
    return [found, here.cwd] if named else [here.cwd]


def _ring(_number: int, _frame: FrameType | None) -> None:
    raise Late


def _read_all(descriptor: int) -> bytes:
    """Standard input, and one byte more than is read at most where there is more."""
    parts, left = [], MOST_INPUT_BYTES + 1
    while left > 0:
        part = os.read(descriptor, min(left, 65_536))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _say(answer: Answer) -> int:
    """Both streams and the status; an answer that cannot be written is a refusal."""
    if answer.err:
        _write(2, f"{answer.err}\n".encode(errors="replace"))
    if answer.out and not _write(1, answer.out + b"\n"):
        return answers.BLOCKED
    return answer.status


def _write(descriptor: int, content: bytes) -> bool:
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
