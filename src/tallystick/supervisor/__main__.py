"""Starts a supervisor: `python -I -S .../supervisor/__main__.py RUNDIR`, or `--launcher`.

Works from any place where the package lies: it puts its own root last on the import path, behind
the standard library, so that nothing beside the package can shadow it. The delivery token comes
from the environment variable TALLY_SUPERVISOR_TOKEN and is removed from there before anything is
executed. The only module of the supervisor that reads the environment.
"""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tallystick.supervisor.launcher import serve
from tallystick.supervisor.supervisor import supervise

TOKEN_VARIABLE = "TALLY_SUPERVISOR_TOKEN"  # noqa: S105 - a name, not a token


def main(arguments: list[str]) -> int:
    """Run one supervisor, or the launcher process that forks them; returns the exit status."""
    token = os.environ.pop(TOKEN_VARIABLE, "")
    if arguments == ["--launcher"]:
        request = serve(0)
        if request is None:  # the launcher itself, when the server has closed its end
            return 0
        return supervise(Path(request.directory), token=request.token)
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -I -S __main__.py RUNDIR\n")
        return 2
    return supervise(Path(arguments[0]), token=token)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
