"""`python -m tallystick` and the `tally` command are one and the same program.

`tally hook` is answered before the command line is imported: an agent waits for it before each of
its commands.
"""

import os
import sys


def main() -> None:
    """Run the command line; raises `SystemExit`."""
    if sys.argv[1:2] == ["hook"]:
        os._exit(_hook(sys.argv[2:]))  # nothing is left to be done; saves 3 ms of taking down
    from tallystick.cli.main import main as command_line  # noqa: PLC0415 - it takes half a second

    command_line()


def _hook(arguments: list[str]) -> int:
    """The hook's exit status: 2, which refuses, also where it cannot even be imported."""
    try:
        from tallystick.agents.hook import main as hook  # noqa: PLC0415 - for agents alone

        return hook(arguments)
    except Exception as error:  # noqa: BLE001 - every other status would let the command run
        os.write(2, f"Tallystick's guard failed, and says no: {error!r}\n".encode(errors="replace"))
        return 2


if __name__ == "__main__":
    main()
