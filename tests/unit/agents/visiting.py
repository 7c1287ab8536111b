"""A project where every agent was set up, for the doctor to look at."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tallystick.agents import install
from tallystick.agents.found import NAMES
from tallystick.agents.pieces import Program
from tallystick.agents.visit import Visit
from tallystick.doctor.finding import Finding, Verdict
from tallystick.testing.clock import ManualClock

NOW = 1_795_341_600_000
MODULE = (sys.executable, "-m", "tallystick")


def set_up(directory: Path) -> Visit:
    """Every agent is set up in a project; nothing is at home or on PATH."""
    root, home, programs = (directory / name for name in ("project", "home", "bin"))
    for folder in (root, home, programs):
        folder.mkdir()
    found = Visit(
        root=root.resolve(),
        agents=NAMES,
        program=Program(hook=(*MODULE, "hook"), server=(*MODULE, "mcp")),
        environment={"HOME": str(home), "PATH": str(programs)},
        home=home,
        tally_home=home / ".tally",
        clock=ManualClock(NOW),
    )
    install.apply(install.plan(found.root, NAMES, found.program))
    return found


def put_on_path(visit: Visit, name: str, script: str) -> None:
    """A program that is this Python."""
    assert visit.home is not None
    file = visit.home.parent / "bin" / name
    file.write_text(f"#!{sys.executable}\n{script}")
    file.chmod(0o755)


def is_failure(found: Finding, words: str) -> bool:
    return found.verdict is Verdict.FAIL and words in found.found and bool(found.mend)


CODEX = """\
import json, os, sys
if sys.argv[1] == "sandbox":
    arguments = sys.argv[sys.argv.index("--") + 1 :]
    assert 'sandbox_mode="workspace-write"' in sys.argv
    if "closed" in os.environ.get("SANDBOX", ""):
        sys.exit("PermissionError: [Errno 1] Operation not permitted")
    os.execv(arguments[0], arguments)
for line in sys.stdin:
    call = json.loads(line)
    print("a line that is no JSON", flush=True)
    if "id" in call:
        hooks = json.loads(os.environ["HOOKS"]) if call["method"] == "hooks/list" else []
        answer = {"id": call["id"], "result": {"data": [{"hooks": hooks}]}}
        print(json.dumps({"method": "noise"}), json.dumps(answer), sep="\\n", flush=True)
"""


def codex_says(visit: Visit, hooks: Any, **more: str) -> Visit:
    put_on_path(visit, "codex", CODEX)
    environment = {**visit.environment, "HOOKS": json.dumps(hooks), **more}
    return replace(visit, environment=environment)


def hook(event: str, **more: Any) -> dict[str, Any]:
    command = f"{sys.executable} -m tallystick hook"
    known = {"eventName": event, "command": command, "trustStatus": "trusted", "enabled": True}
    return {**known, **more}


THREE = [hook("preToolUse"), hook("sessionStart"), hook("stop")]
