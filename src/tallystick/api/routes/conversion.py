"""From what is about to be typed to the calls that put it on the record (P7.2).

Nothing is started, recorded or read: a text comes in, what is known of texts goes out. Long ones
take their time, on the thread for such work.
"""

import posixpath
from typing import Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.texts import checked_characters, checked_text
from tallystick.errors import InvalidError
from tallystick.shell.convert import convert as conversion_of
from tallystick.shell.verdicts import MOST_SCRIPT_BYTES, Around
from tallystick.wire.guard_requests import MOST_FILES, ConvertCommand
from tallystick.wire.guard_views import CallView, ConversionView

_LONGEST_PATH: Final = 4_096
_LONGEST_ID: Final = 500
"""Characters."""


async def convert(call: Call) -> Response:
    """What a command would do, and the calls that do it on the record (P7.2); nothing is started.

    A loop over fixed values becomes one run for each value. Scripts that the command starts are
    read where `files` holds them: nothing is read from the server's own disk.
    """
    body: ConvertCommand = call.body
    command = checked_text("command", body.command)
    workdir = None if body.workdir is None else _absolute(body.workdir)
    session, sweep = (
        None if text is None else checked_characters(name, text, longest=_LONGEST_ID)
        for name, text in (("chat_session_id", body.chat_session_id), ("sweep_id", body.sweep_id))
    )
    around = _around(call, body, workdir)

    def view() -> ConversionView:
        made = conversion_of(
            command, workdir=workdir, session=session, sweep=sweep, around=around
        ).view()
        calls = [CallView(**one) for one in made.pop("calls")]
        return ConversionView(**made, calls=calls, warnings=call.warnings)

    return answers.json(await call.services.parse(view))


def _around(call: Call, body: ConvertCommand, workdir: str | None) -> Around:
    """The scripts that came along, by their absolute paths."""
    if len(body.files) > MOST_FILES:
        raise InvalidError(
            f"files: expected at most {MOST_FILES}; found {len(body.files)}", code="body_invalid"
        )
    cwd = workdir or str(call.services.settings.server.workspace)
    files = {
        posixpath.normpath(posixpath.join(cwd, path)): text.encode()[:MOST_SCRIPT_BYTES]
        for path, text in body.files.items()
    }
    return Around(cwd=cwd, read=lambda path: files.get(posixpath.normpath(path)))


def _absolute(path: str) -> str:
    """A directory as it would be typed in; it need not be there."""
    checked_characters("workdir", path, longest=_LONGEST_PATH)
    if not path.startswith("/"):
        raise InvalidError(
            f"workdir: expected an absolute path; found {path[:200]!r}",
            code="workdir_relative",
            hint='"workdir": "$PWD" inside double quotes sends the present directory',
        )
    return path


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/convert",
        route=convert,
        permission=Permission.READ,
        body=Body(ConvertCommand),
        answer=ConversionView,
    ),
)
