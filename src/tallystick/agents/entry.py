"""How agents call the hook, and how a converted command calls `tally`: always by absolute path.

Settings files name the interpreter and the program, never a shell and never a name that PATH would
have to find: what PATH says inside an agent is not what it said when the hook was installed.
"""

from __future__ import annotations

import os
import sys


def tally_script() -> str | None:
    """The installed `tally` program of this interpreter, absolute; None where there is none."""
    beside = os.path.join(os.path.dirname(sys.executable), "tally")
    called = os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    for candidate in (beside, called):
        if os.path.basename(candidate) == "tally" and os.path.isfile(candidate):
            return candidate
    return None


def is_python(path: str) -> bool:
    """Whether a program is a script that Python reads; a compiled launcher is not."""
    try:
        with open(path, "rb") as script:
            first = script.read(512).split(b"\n", 1)[0]
    except OSError:
        return False
    return first.startswith(b"#!") and (b"python" in first or first.strip() == b"#!/bin/sh")


def hook_argv() -> list[str]:
    """The command that agents' settings name for the hook, for example
    `["/w/.venv/bin/python", "-I", "/w/.venv/bin/tally", "hook"]`.

    The interpreter is named, isolated (`-I`): neither a `python` that PATH finds nor a module in
    the project's directory can stand in its way. The script form saves the 3 ms of `-m`.
    """
    script = tally_script()
    if script is not None and is_python(script):
        return [sys.executable, "-I", script, "hook"]
    return [sys.executable, "-I", "-m", "tallystick", "hook"]


def tally_program() -> str:
    """What a converted command begins with: the absolute path of `tally`.

    Where no such program is installed, the interpreter and the module, as shell words.
    """
    script = tally_script()
    if script is not None:
        return script
    return f"{sys.executable} -I -m tallystick"
