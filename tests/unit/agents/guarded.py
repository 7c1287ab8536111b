"""A project with its guard, away from the home and the environment of whoever runs the tests."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tallystick.agents import hook, policy_file, spool
from tallystick.agents.answers import Answer
from tallystick.agents.surroundings import Surroundings

PROGRAM = "/opt/tally/bin/tally"
NOW = 1_795_341_600_000
TRAIN = "python train.py --lr 1e-2"
SESSION = "5f0c1b9e-0000-4000-8000-000000000001"


class Guarded:
    """A directory with `.tally/`, a home for the agents' side, and the hook in front of them."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "project"
        self.home = directory / "home" / ".tally"
        (self.root / ".tally").mkdir(parents=True)
        self.home.mkdir(parents=True)
        self.variables = {"HOME": str(directory / "home"), "TALLY_HOME": str(self.home)}
        self.now = NOW

    def here(self, **variables: str) -> Surroundings:
        """The surroundings of one decision."""
        here = Surroundings({**self.variables, **variables}, str(self.root))
        here.program = PROGRAM
        here.now = lambda: self.now
        return here

    def accept(self, text: str) -> None:
        """A person accepted these rules."""
        policy_file.write_accepted(
            str(self.root), str(self.home), text.encode(), accepted_at=NOW, seq=7
        )

    def asked(self, payload: Any, hint: str = "", **variables: str) -> Answer:
        """What the hook says to a payload."""
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return hook.run(content, self.here(**variables), hint)

    def typed(self, command: str, **fields: Any) -> Answer:
        """What the hook says to Claude Code about a command."""
        return self.asked(self.claude(command, **fields))

    def claude(self, command: str, **fields: Any) -> dict[str, Any]:
        """Claude Code's payload."""
        return {
            "session_id": SESSION,
            "transcript_path": "/home/u/.claude/projects/p/5f0c1b9e.jsonl",
            "cwd": str(self.root),
            "hook_event_name": "PreToolUse",
            "tool_name": "Bash",
            "tool_input": {"command": command},
            "tool_use_id": "toolu_01A",
            **fields,
        }

    def recorded(self) -> list[dict[str, Any]]:
        """The decisions in the spool."""
        return spool.pending(str(self.home))


def document(answer: Answer) -> Any:
    """What stands on standard output, None for nothing."""
    return json.loads(answer.out) if answer.out else None


def specific(answer: Answer) -> Mapping[str, Any]:
    """Claude Code's part of an answer; empty when it passed."""
    found = document(answer)
    return {} if found is None else found["hookSpecificOutput"]
