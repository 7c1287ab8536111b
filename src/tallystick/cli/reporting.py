"""Sends what the guard left in the spool, in passing: at the end of a command that met a server.

The guard decides before every command of an agent and opens no socket. Whatever `tally` process
comes next carries its decisions to the ledger, at most once each. It never fails a command, and
takes a second at most when the server has stopped answering since.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from tallystick.agents import spool, surroundings
from tallystick.cli import output
from tallystick.errors import TallystickError

if TYPE_CHECKING:
    from tallystick.client.client import Client
    from tallystick.wire.guard_views import RefusedDecision

MOST_AT_ONCE: Final = 100
MOST_BYTES: Final = 524_288
"""Of one call; a decision that is larger goes alone."""
PATIENCE_SECONDS: Final = 1.0

_OF_ANOTHER: Final = "session_mismatch"
"""Refused to this token, and welcome from another one."""


def at_the_end(client: "Client") -> "Client":
    """The client; when the command in progress ends, however it ends, it sends what waits."""
    # Typer carries its own copy of click, whose context has no public way in: without one nothing
    # is sent here, and the spool waits for a newer program.
    current = getattr(typer.main, "get_current_context", None)
    context = None if current is None else current(silent=True)
    if context is not None:
        context.call_on_close(lambda: report(client))
    return client


def report(client: "Client") -> None:
    """Send what waits, if `client` met a server that answers; raises nothing."""
    if not client.answered or isinstance(sys.exception(), KeyboardInterrupt):
        return  # nobody to tell, or somebody who wants to leave: the next command tells
    around = surroundings.of_process()
    if around.variables.get(surroundings.RUN_VARIABLE):
        return  # a job's token tells of its own run and of nothing else
    home = around.tally_home
    if not os.path.isdir(spool.directory_of(home)):  # noqa: PTH112 - the usual end of it
        return
    try:
        _send(client, home)
    except (TallystickError, OSError, ValueError):
        return  # the next command tries again


def _send(client: "Client", home: str) -> None:
    """One call with the oldest decisions; the spool keeps those that are not in the ledger."""
    waiting = _batch(home)
    if not waiting:
        return
    sys.stdout.flush()  # whoever reads the answer has it before we begin
    answer = client.send_decisions(waiting, timeout_seconds=PATIENCE_SECONDS)
    refused = {one.id: one for one in answer.refused}
    for record in waiting:
        decision = str(record["id"])
        found = refused.get(decision)
        if found is not None and found.code == _OF_ANOTHER:
            _put_last(home, decision)
            continue
        if found is not None:
            _say(found)
        spool.drop(home, decision)


def _batch(home: str) -> list[dict[str, Any]]:
    """The oldest decisions that fit into one call."""
    found, size = list[dict[str, Any]](), 0
    for record in spool.pending(home, most=MOST_AT_ONCE):
        sent, length = _sendable(record)
        if found and size + length > MOST_BYTES:
            break
        found.append(sent)
        size += length
    return found


def _sendable(record: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """A decision whose texts have bytes in UTF-8, and how many; half a character becomes `?`."""
    content = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    sent: dict[str, Any] = json.loads(content)
    return sent, len(content)


def _put_last(home: str, decision: str) -> None:
    """Let those go first that this token may report."""
    os.utime(Path(spool.directory_of(home)) / f"{decision}{spool.SUFFIX}")


def _say(refused: "RefusedDecision") -> None:
    """A decision that no ledger takes is lost; not without a word."""
    words = f"a decision of the guard was refused and is dropped: {refused.id}: {refused.detail}"
    output.note(output.plain(f"warning: {words}  [{refused.code}]"))
