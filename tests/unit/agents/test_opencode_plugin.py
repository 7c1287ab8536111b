"""OpenCode's plugin carries words to the guard and back, and closes whatever the guard does."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tallystick.agents.pieces import HOOK_FILES, Program, pieces_for

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")

DRIVER = """\
import plugin from "./tally.mjs"
const args = { command: "python train.py", timeout: 7 }
const same = args
let refused = null
const call = { tool: process.argv[3], sessionID: "ses_1", callID: "call_1" }
try {
  if (process.argv[2] === "server") {
    const hooks = await plugin.server({ directory: "/w" })
    await hooks["tool.execute.before"](call, { args })
  } else {
    let before = null
    const tool = { hook: async (name, handler) => (before = handler) }
    await plugin.setup({ directory: "/w", tool })
    await before({ ...call, input: args })
  }
} catch (error) {
  refused = error.message
}
console.log(JSON.stringify({ args: same, refused }))
"""


def carried(
    directory: Path, guard: str, *, tool: str = "bash", generation: str = "server"
) -> dict[str, Any]:
    """What becomes of a call when the guard is this Python program."""
    script = directory / "guard.py"
    script.write_text(guard)
    return driven(directory, (sys.executable, str(script), "hook"), tool, generation)


def driven(directory: Path, hook: tuple[str, ...], tool: str, generation: str) -> dict[str, Any]:
    program = Program(hook=hook, server=("tally", "mcp"))
    piece = pieces_for(["opencode"], program)[HOOK_FILES["opencode"]]
    (directory / "tally.mjs").write_text(piece.pasted())
    (directory / "driver.mjs").write_text(DRIVER)
    assert NODE is not None
    said = subprocess.run(
        [NODE, "driver.mjs", generation, tool],
        cwd=directory,
        capture_output=True,
        check=True,
        timeout=30,
    )
    found: dict[str, Any] = json.loads(said.stdout)
    return found


ECHO = """\
import json, sys
asked = json.load(sys.stdin)
print(json.dumps({"decision": "convert", "args": {"command": json.dumps(asked)}}))
"""


@pytest.mark.parametrize(("generation", "tool"), [("server", "bash"), ("setup", "shell")])
def test_a_rewritten_command_takes_the_place_of_the_old_one_in_the_same_object(
    tmp_path: Path, generation: str, tool: str
) -> None:
    found = carried(tmp_path, ECHO, generation=generation, tool=tool)
    assert found["refused"] is None
    assert found["args"]["timeout"] == 7
    assert json.loads(found["args"]["command"]) == {
        "dialect": "opencode",
        "hook_event_name": "tool.execute.before",
        "session_id": "ses_1",
        "tool_use_id": "call_1",
        "cwd": "/w",
        "tool_name": tool,
        "tool_input": {"command": "python train.py", "timeout": 7},
    }


@pytest.mark.parametrize("generation", ["server", "setup"])
@pytest.mark.parametrize(
    ("guard", "words"),
    [
        ('print(\'{"decision": "deny", "reason": "send this instead"}\')', "send this instead"),
        ("import sys; sys.exit('refused')", "failed with status 1"),
        ("import sys; print('no, because', file=sys.stderr); sys.exit(2)", "no, because"),
        ("print('hello')", "cannot be read"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "failed with status"),
    ],
)
def test_what_is_refused_or_broken_is_not_executed(
    tmp_path: Path, guard: str, words: str, generation: str
) -> None:
    found = carried(tmp_path, guard, generation=generation)
    assert words in found["refused"]
    assert found["args"] == {"command": "python train.py", "timeout": 7}


def test_a_guard_that_is_not_there_closes_the_shell(tmp_path: Path) -> None:
    found = driven(tmp_path, ("/nowhere/python", "hook"), "bash", "server")
    assert "cannot be started" in found["refused"]
    assert "tally init" in found["refused"]


def test_silence_lets_a_command_pass(tmp_path: Path) -> None:
    found = carried(tmp_path, "pass")
    assert found == {"args": {"command": "python train.py", "timeout": 7}, "refused": None}


def test_tools_that_start_nothing_are_not_asked_about(tmp_path: Path) -> None:
    assert carried(tmp_path, "raise SystemExit(2)", tool="read")["refused"] is None
    assert carried(tmp_path, "raise SystemExit(2)", tool="tally_submit_runs")["refused"]
