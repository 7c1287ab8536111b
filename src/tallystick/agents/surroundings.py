"""What the agents' side reads of its process: variables, its own directory, scripts, the time.

The only reader of the environment in this package. Imported by the hook before every command of an
agent: nothing but `os` and `time`, which the interpreter has loaded already.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

from tallystick.scripts import read_script

HOME_VARIABLE = "TALLY_HOME"
KNOWN_LEDGERS_VARIABLE = "TALLY_KNOWN_LEDGERS"
RUN_VARIABLE = "TALLY_RUN_ID"
"""Set by the runner in everything it starts: who has it is a child of a registered run."""
SESSION_VARIABLES = (
    "TALLY_CHAT_SESSION_ID",
    "CHAT_SESSION_ID",
    "CLAUDE_CODE_SESSION_ID",
    "CODEX_THREAD_ID",
    "GEMINI_SESSION_ID",
)
"""As the client has them; it is not imported here, because it loads sockets and URLs."""


class Surroundings:
    """What one decision is made in; the attributes are plain so that a test can hand in others."""

    __slots__ = ("cwd", "now", "program", "read", "tally_home", "user_home", "variables")

    def __init__(self, variables: Mapping[str, str], cwd: str = "") -> None:
        """From an environment; `cwd` is the process's own directory, empty where it has none."""
        self.variables = variables
        self.cwd = cwd
        self.user_home = user_home(variables)
        self.tally_home = tally_home(variables)
        self.now: Callable[[], int] = now_ms
        self.read: Callable[[str], bytes | None] = read_script
        self.program = ""
        """What a converted command begins with; empty: found when it is needed."""


def of_process() -> Surroundings:
    """The surroundings of this process."""
    try:
        cwd = os.getcwd()
    except OSError:  # it was deleted
        cwd = ""
    return Surroundings(os.environ, cwd)


def user_home(variables: Mapping[str, str]) -> str:
    """The home directory, absolute; empty where there is none."""
    home = variables.get("HOME") or os.path.expanduser("~")
    return home if home.startswith("/") else ""


def tally_home(variables: Mapping[str, str]) -> str:
    """The directory of agent-side files: `$TALLY_HOME`, else `~/.tally`; absolute."""
    named = variables.get(HOME_VARIABLE, "").strip()
    home = user_home(variables)
    if named == "~" or named.startswith("~/"):
        named = home + named[1:]
    return os.path.abspath(named or f"{home}/.tally")


def known_ledgers(variables: Mapping[str, str]) -> str:
    """The directory of pinned verifier keys: where the client of this user keeps its pins."""
    named = variables.get(KNOWN_LEDGERS_VARIABLE, "").strip()
    if named:
        return named if not named.startswith("~/") else user_home(variables) + named[1:]
    beside = f"{tally_home(variables)}/known_ledgers"
    return beside if os.path.isdir(beside) else f"{user_home(variables)}/.tally/known_ledgers"


def session_of(variables: Mapping[str, str]) -> str | None:
    """The conversation that the environment names, for payloads that name none."""
    found = (variables.get(name, "").strip() for name in SESSION_VARIABLES)
    return next((value for value in found if value), None)


def now_ms() -> int:
    """Milliseconds since the Unix epoch; the hook has no server whose clock it could ask."""
    return time.time_ns() // 1_000_000


def installed_version(package: str) -> str | None:
    """The version of an installed package, from the name of its metadata directory.

    `importlib.metadata` says the same and takes three times as long as all that the hook does.
    """
    for place in sys.path:
        try:
            names = os.listdir(place)
        except OSError:
            continue
        for name in names:
            if name.startswith(f"{package}-") and name.endswith(".dist-info"):
                return name.removeprefix(f"{package}-").removesuffix(".dist-info")
    return None
