"""Starts supervisors as the launcher does, each with the fault that its run's environment asks for.

FAULT is `<form>:<number>:<note>`, see `tallystick.testing.steps`; the note is a path. With the form
`none` the names of all steps are written to it at the end. Run by a stand-in for `python`, made
by `stand_in`.
"""

import json
import os
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
sys.path.append(str(SOURCE))

from tallystick.supervisor import __main__ as program  # noqa: E402 - found only now
from tallystick.supervisor.supervisor import supervise  # noqa: E402
from tallystick.testing.steps import Form, Steps  # noqa: E402


def stand_in(directory: Path) -> str:
    """A program that takes the arguments of `python` and ends up in `main`."""
    script = directory / "python"
    isolated = f"'{sys.executable}' -I -S -X utf8 '{Path(__file__).resolve()}'"
    script.write_text(f"#!/bin/sh\nexec {isolated} --launcher\n")
    script.chmod(0o700)
    return str(script)


def stepping(directory: Path, *, token: str) -> int:
    """One supervisor."""
    environment = json.loads((directory / "bundle.json").read_bytes())["environment"]
    form, _, rest = environment.get("FAULT", "").partition(":")
    if not form:
        return supervise(directory, token=token)
    number, _, note = rest.partition(":")
    steps = Steps(Form(form), int(number), note=Path(note))
    steps.install()
    pid = os.getpid()
    try:
        return supervise(directory, token=token)
    finally:
        if form == "none" and os.getpid() == pid:
            steps.reached("the end")
            Path(note).write_text("\n".join(steps.names))


if __name__ == "__main__":
    program.supervise = stepping  # type: ignore[attr-defined]
    sys.exit(program.main(sys.argv[1:]))
