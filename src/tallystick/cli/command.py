"""From words on a command line to what a run is registered with; pure."""

import re
import shlex
from collections.abc import Mapping, Sequence

from tallystick.cli.output import UsageError

SENT_NAMES = frozenset({"PATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH"})
SENT_PREFIXES = ("CONDA_", "PYTHON", "CUDA_", "OMP_")
"""What decides which interpreter and libraries a command gets; nothing else is sent unasked."""

ASSIGNED = "CUDA_VISIBLE_DEVICES"
"""The queue's to say: inside a run it names that run's own lease. Sent only when asked for."""
NOISE_NAMES = frozenset({"_", "PWD", "OLDPWD", "SHLVL", "SHELLOPTS", "BASHOPTS", "BASH_ENV", "ENV"})
NOISE_PREFIXES = (
    "BASH_FUNC_", "TALLY_", "CLAUDE", "CODEX_", "GEMINI_", "OPENCODE", "COPILOT_", "CURSOR_",
    "SSH_", "DBUS_", "XDG_SESSION", "GIT_EDITOR", "CHAT_SESSION_ID", "SERVER_URL",
)  # fmt: skip
"""What belongs to the shell, the agent or the login that asks, and never to what it starts."""

NAME_CHARACTERS = 60

WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,14}")
DECIMAL_NUMBER = re.compile(
    r"-?(0|[1-9][0-9]*)?(\.[0-9]+([eE][-+]?[0-9]{1,2})?|(?<=[0-9])[eE][-+]?[0-9]{1,2})"
)
"""What reads back as the same number; `007`, `1_000` and nan stay text, and so do more digits
than a number holds."""


def command_of(words: Sequence[str]) -> str:
    """The command: one word is a shell line as it is, several are quoted and joined."""
    if not words:
        raise UsageError(
            "a command is required after `--`",
            code="command_missing",
            next_actions=("tally exec -- python train.py --lr 1e-2",),
        )
    return words[0] if len(words) == 1 else shlex.join(words)


def name_of(command: str) -> str:
    """What people will see when no name is given: the beginning of the command's first line."""
    line = " ".join(command.strip().splitlines()[:1]).strip() or "command"
    return line if len(line) <= NAME_CHARACTERS else line[: NAME_CHARACTERS - 1] + "…"


def sent_environment(environment: Mapping[str, str], named: Sequence[str]) -> dict[str, str]:
    """The variables that a run gets: those that choose the interpreter, and those named.

    `named` holds NAME (taken from `environment`) or NAME=VALUE. Tallystick's own credentials are
    never sent; asking for one raises `UsageError`, and so does a name that is not set.
    """
    chosen = {
        name: value
        for name, value in environment.items()
        if name in SENT_NAMES or (name.startswith(SENT_PREFIXES) and name != ASSIGNED)
    }
    for item in named:
        name, given, value = item.partition("=")
        if not name:
            raise UsageError(f"--env {item!r}: expected NAME or NAME=VALUE", code="env_invalid")
        if is_credential(name):
            raise UsageError(
                f"--env {name}: a token of the server is never given to a run",
                code="env_refused",
                hint="a run has a token of its own, which can report on that run and nothing else",
            )
        if not given and name not in environment:
            raise UsageError(
                f"--env {name}: not set here; use --env {name}=VALUE", code="env_missing"
            )
        chosen[name] = value if given else environment[name]
    return chosen


def whole_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Everything that a command started here would find, but for noise and credentials.

    A converted command behaves as it would have behaved in the shell that it was typed into.
    """
    return {
        name: value
        for name, value in environment.items()
        if name not in NOISE_NAMES
        and name != ASSIGNED
        and not name.startswith(NOISE_PREFIXES)
        and not is_credential(name)
    }


def is_credential(name: str) -> bool:
    """Whether a variable may hold one of the server's tokens."""
    return name == "AUTH_TOKEN" or (name.startswith("TALLY_") and "TOKEN" in name)


def params_of(pairs: Sequence[str]) -> dict[str, str | int | float | bool]:
    """`k=v` pairs; numbers and true/false become what they look like."""
    params: dict[str, str | int | float | bool] = {}
    for pair in pairs:
        name, given, text = pair.partition("=")
        if not given or not name:
            raise UsageError(f"--param {pair!r}: expected NAME=VALUE", code="param_invalid")
        params[name] = value_of(text)
    return params


def value_of(text: str) -> str | int | float | bool:
    """The most exact reading of one value."""
    if text in {"true", "false"}:
        return text == "true"
    if WHOLE_NUMBER.fullmatch(text):
        return int(text)
    return float(text) if DECIMAL_NUMBER.fullmatch(text) else text
