"""Checks of Codex: its app-server tells what it loaded, its sandbox what a command can reach."""

import json
import subprocess
from typing import Any, Final
from urllib.parse import urlsplit

from tallystick.agents import found
from tallystick.agents.conversing import Conversation
from tallystick.agents.merging import is_our_hook
from tallystick.agents.pieces import HOOK_FILES
from tallystick.agents.visit import Visit
from tallystick.client.config import Discovery
from tallystick.doctor.finding import Finding, fail, ok, warn
from tallystick.errors import TallystickError

SANDBOX_SECONDS: Final = 20.0
_APPROVE: Final = "start codex here, trust the project, then approve the hooks of tally in /hooks"
_EVENTS: Final = 3
"""Hooks that are written for Codex: a session's start, a command, a session's end."""
_CONNECT: Final = (
    "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"
)
_OPEN: Final = (
    'in ~/.codex/config.toml: sandbox_mode = "workspace-write", and under '
    "[sandbox_workspace_write] network_access = true"
)


def trust(visit: Visit, agent: str) -> Finding:
    """Codex has loaded the hooks and trusts them; it skips others without a word."""
    check = f"{agent} trust"
    program = _program(visit)
    if program is None:
        return warn(
            check, "codex is not on PATH: whether it trusts the hooks is not known", _APPROVE
        )
    listed = _hooks(visit, program)
    ours = [hook for hook in listed if is_our_hook({"command": hook.get("command")})]
    if not ours:
        return fail(
            check, f"codex loads no hook of {HOOK_FILES['codex']}: the project is not trusted",
            _APPROVE,
        )  # fmt: skip
    if waiting := [hook for hook in ours if hook.get("trustStatus") not in {"trusted", "managed"}]:
        words = ", ".join(
            f"{hook.get('eventName')} is {hook.get('trustStatus')}" for hook in waiting
        )
        return fail(check, f"skipped without a word: {words}", _APPROVE)
    if off := [str(hook.get("eventName")) for hook in ours if not hook.get("enabled")]:
        return fail(check, f"turned off: {', '.join(off)}", "turn them on in /hooks")
    if len(ours) < _EVENTS:
        return fail(check, f"expected {_EVENTS} hooks; codex loads {len(ours)}", "tally init")
    return ok(check, f"{len(ours)} hooks loaded and trusted")


def sandbox(visit: Visit, agent: str) -> Finding:
    """A command in Codex's sandbox reaches the server; without that no converted command works."""
    check = f"{agent} sandbox"
    program = _program(visit)
    if program is None:
        return warn(check, "codex is not on PATH: its sandbox cannot be tried", _OPEN)
    try:
        url = urlsplit(Discovery(environment=visit.environment).server_url())
    except TallystickError as error:
        return warn(check, f"not tried: {error.detail}", "tally up")
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    mode = f"sandbox_mode={json.dumps(_mode(visit, program))}"
    probe = [visit.program.hook[0], "-I", "-c", _CONNECT, host, str(port)]
    try:
        tried = subprocess.run(
            [program, "sandbox", "-c", mode, "--", *probe],
            cwd=visit.root,
            env=dict(visit.environment),
            capture_output=True,
            timeout=SANDBOX_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return warn(check, f"codex sandbox did not end in {SANDBOX_SECONDS:.0f} s", _OPEN)
    if tried.returncode == 0:
        return ok(check, f"a command in it reaches {host}:{port}")
    last = (tried.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason"])[-1]
    return warn(
        check,
        f"a command in it cannot reach {host}:{port} ({last[:80]}): codex asks for leave each "
        "time, or the run is not registered",
        _OPEN,
    )


def _program(visit: Visit) -> str | None:
    return found.program_of(found.agent_of("codex"), visit.environment.get("PATH"))


def _hooks(visit: Visit, program: str) -> list[dict[str, Any]]:
    """Every hook that Codex has loaded for the project; raises `UnavailableError`."""
    data = _told(visit, program, "hooks/list", {"cwds": [str(visit.root)]}).get("data")
    places = data if isinstance(data, list) else []
    return [hook for place in places for hook in place.get("hooks", []) if isinstance(hook, dict)]


def _mode(visit: Visit, program: str) -> str:
    """The sandbox of the project's commands; raises `UnavailableError`.

    `codex sandbox` itself takes the strictest one, whatever the settings say. A trusted project
    where they say nothing has `workspace-write`.
    """
    config = _told(visit, program, "config/read", {"cwd": str(visit.root)}).get("config")
    mode = config.get("sandbox_mode") if isinstance(config, dict) else None
    return str(mode or "workspace-write")


def _told(visit: Visit, program: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The answer of Codex's app-server; raises `UnavailableError`."""
    with Conversation(
        [program, "app-server"], cwd=visit.root, environment=visit.environment
    ) as codex:
        codex.ask("initialize", {"clientInfo": {"name": "tally", "version": "1"}})
        codex.tell("initialized")
        return codex.ask(method, params)
