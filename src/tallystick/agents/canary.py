"""A canary: the installed guard is called as its agent would, and its answer is looked at.

The command is the one in the settings file, not the one that would be written there. It is asked
about a training command inside a project that lives for as long as the question, with a home of its
own, so that nothing is recorded and no accepted policy has a say.
"""

import json
import re
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tallystick.agents.merging import command_of, hooks_in
from tallystick.agents.pieces import HOOK_FILES, HOOK_SECONDS
from tallystick.agents.visit import Visit
from tallystick.doctor.finding import Finding, fail, ok, warn

COMMAND: Final = "torchrun --nproc_per_node 1 train.py --lr 1e-2"
SLOW_MS: Final = HOOK_SECONDS * 1000 // 4
"""An answer later than this may be too late on a busy day."""
SESSION: Final = "canary-of-tally-doctor"

_HOOK_IN_JS: Final = re.compile(r"^const HOOK = (\[.*\])$", re.MULTILINE)
_AGAIN: Final = "tally init"


def answers(visit: Visit, agent: str) -> Finding:
    """Whether the installed guard answers, in time, in the form that its agent understands."""
    check = f"{agent} canary"
    file = HOOK_FILES[agent]
    words = installed(visit.root / file, agent)
    if words is None:
        return fail(check, f"{file} names no guard", _AGAIN)
    began = visit.clock.now()
    try:
        said = _asked(visit, agent, words)
    except subprocess.TimeoutExpired:
        return fail(check, f"no answer within {HOOK_SECONDS} s", shlex.join(words))
    except OSError as error:
        return fail(check, f"{words[0]} cannot be started: {error.strerror}", _AGAIN)
    took = visit.clock.now() - began
    if said.returncode != 0:
        reason = said.stderr.decode("utf-8", "replace").strip()[:200]
        return fail(check, f"exit status {said.returncode}: {reason}", f"{_AGAIN}; tally doctor")
    acted = acted_on(agent, said.stdout)
    if acted is None:
        found = said.stdout.decode("utf-8", "replace").strip()[:200] or "silence"
        return fail(check, f"expected `{COMMAND}` converted; found {found}", _AGAIN)
    if took > SLOW_MS:
        return warn(check, f"{acted} after {took} ms; agents wait {HOOK_SECONDS} s", "see the load")
    return ok(check, f"{acted} in {took} ms")


def installed(file: Path, agent: str) -> list[str] | None:
    """The words of the guard's command in a settings file; None where there is none to find."""
    try:
        text = file.read_text()
        if agent == "opencode":
            found = _HOOK_IN_JS.search(text)
            return list(map(str, json.loads(found[1]))) if found else None
        return next((command_of(hook) for hook in hooks_in(json.loads(text))), None)
    except (OSError, ValueError):
        return None


def payload(agent: str, cwd: str) -> dict[str, Any]:
    """What an agent says before a shell command, with the fields that tell who it is."""
    common = {"session_id": SESSION, "cwd": cwd, "tool_use_id": "canary"}
    snake = {**common, "hook_event_name": "PreToolUse", "tool_name": "Bash"}
    arguments = {"command": COMMAND}
    payloads: dict[str, dict[str, Any]] = {
        "claude": {
            **snake,
            "permission_mode": "default",
            "prompt_id": "p",
            "tool_input": arguments,
        },
        "codex": {**snake, "turn_id": "t", "model": "m", "tool_input": arguments},
        "opencode": {
            **common,
            "dialect": "opencode",
            "hook_event_name": "tool.execute.before",
            "tool_name": "bash",
            "tool_input": arguments,
        },
        "gemini": {
            **common,
            "hook_event_name": "BeforeTool",
            "timestamp": "2026-01-01T00:00:00Z",
            "tool_name": "run_shell_command",
            "tool_input": arguments,
        },
        "copilot": {
            "sessionId": SESSION,
            "timestamp": 0,
            "cwd": cwd,
            "toolName": "bash",
            "toolArgs": json.dumps(arguments),
        },
        "cursor": {
            "conversation_id": SESSION,
            "generation_id": "g",
            "cursor_version": "0",
            "hook_event_name": "beforeShellExecution",
            "workspace_roots": [cwd],
            "command": COMMAND,
            "cwd": cwd,
        },
    }
    return payloads[agent]


def acted_on(agent: str, answer: bytes) -> str | None:
    """How an answer keeps the command from starting as it stands; None when it does not."""
    try:
        document = json.loads(answer)
        specific = document.get("hookSpecificOutput", {})
        places: dict[str, Any] = {
            "claude": specific.get("updatedInput"),
            "codex": specific.get("updatedInput") if _allows(specific) else None,
            "gemini": specific.get("tool_input"),
            "copilot": document.get("modifiedArgs"),
            "opencode": document.get("args"),
        }
        if agent == "cursor":
            is_denied = document["permission"] == "deny" and " exec " in document["agent_message"]
            return "refuses with the command to send" if is_denied else None
        command = places[agent]["command"]
    except (ValueError, AttributeError, KeyError, TypeError):
        return None
    return "converts" if isinstance(command, str) and " exec " in command else None


def _allows(specific: Mapping[str, Any]) -> bool:
    """Codex rejects a rewrite without it, and runs the original."""
    return specific.get("permissionDecision") == "allow"


def _asked(visit: Visit, agent: str, words: list[str]) -> "subprocess.CompletedProcess[bytes]":
    """The guard's answer; raises OSError and TimeoutExpired."""
    with tempfile.TemporaryDirectory(prefix="tally-canary-") as directory:
        project = Path(directory).resolve() / "project"
        (project / ".tally").mkdir(parents=True)
        environment = {
            name: value for name, value in visit.environment.items() if name != "TALLY_RUN_ID"
        }
        return subprocess.run(
            words,
            input=json.dumps(payload(agent, str(project))).encode(),
            capture_output=True,
            cwd=project,
            env={**environment, "TALLY_HOME": f"{directory}/home"},
            timeout=HOOK_SECONDS,
            check=False,
        )
