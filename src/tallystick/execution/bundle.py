"""Writes what a supervisor reads: the launch directory of an attempt, and the request to stop.

Everything is on disk, names included, when a function returns. Directories are 0700, files 0600:
a command can hold secrets.
"""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tallystick import durable
from tallystick.errors import InvalidError
from tallystick.wire import codec
from tallystick.wire.bundle import (
    BUNDLE_FILE,
    COMMAND_ARGUMENT_BYTES,
    COMMAND_FILE,
    STOP_FILE,
    Bundle,
    StopRequest,
)
from tallystick.wire.journal import read_bytes


def write_bundle(directory: Path, bundle: Bundle) -> None:
    """Create the run directory with its bundle, durable before it returns.

    Writing the same bundle again is harmless. Raises `InvalidError` for text that no program can
    be given (a NUL, or half of a surrogate pair).
    """
    try:
        content, command = codec.dumps(bundle), bundle.command.encode()
    except UnicodeEncodeError as error:
        raise InvalidError("the command holds text that is not valid Unicode") from error
    if b"\0" in command:
        raise InvalidError("the command holds a NUL character, which no program can be given")
    durable.make_directory(directory)
    if len(command) > COMMAND_ARGUMENT_BYTES:
        durable.write(directory / COMMAND_FILE, command)
    durable.write(directory / BUNDLE_FILE, content)


def spend_bundle(directory: Path) -> None:
    """Take command and environment, secrets in them, out of a bundle that has served.

    As a supervisor does at its end, for one that was killed before. May be repeated; without a
    run directory it does nothing. Raises OSError when the disk does not take it.
    """
    path = directory / BUNDLE_FILE
    try:
        bundle = codec.from_json(Bundle, json.loads(read_bytes(path)), where=BUNDLE_FILE)
    except (ValueError, InvalidError):
        path.unlink(missing_ok=True)
    else:
        if bundle.command or bundle.environment:
            durable.write(path, codec.dumps(replace(bundle, command="", environment={})))
    (directory / COMMAND_FILE).unlink(missing_ok=True)


def write_stop(directory: Path, request: StopRequest) -> None:
    """Ask for a stop, for good: a supervisor that starts later ends at once.

    The same request again touches nothing. Raises FileNotFoundError without a run directory.
    """
    path, content = directory / STOP_FILE, codec.dumps(request)
    with suppress(FileNotFoundError):
        if path.read_bytes() == content:
            return
    durable.write(path, content)
