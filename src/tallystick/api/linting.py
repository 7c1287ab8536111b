"""What is said about a command when a run or a sweep is made of it (P5.2). It refuses nothing.

Most commands are short, and start a script that was read a moment ago: those cost a tenth of a
millisecond, less than the way to another thread and back. The others are looked at on a thread,
beside the commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from tallystick.api.call import Call
from tallystick.api.scripts import NotReadYet
from tallystick.domain.sweep_events import SweepPlanned
from tallystick.scripts import read_script
from tallystick.shell.lint import lint
from tallystick.shell.verdicts import Around
from tallystick.wire.sweep_requests import DeclareSweep
from tallystick.wire.views import Warning as Notice

SHORT: Final = 1_000
"""Characters of a command that the event loop itself looks at."""


def begin(
    call: Call,
    command: str,
    *,
    workdir: str,
    params: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
    many: bool = False,
) -> Awaitable[list[Notice]]:
    """Begin to look at `command`, which starts in `workdir`; the warnings, when they are awaited.

    `params` are the run's parameters, `variables` those of its environment that the request set.
    `many`: several runs are made of this one text.
    """
    values, known = dict(params or {}), dict(variables or {})

    def look(read: Callable[[str], bytes | None]) -> list[Notice]:
        around = Around(cwd=workdir, read=read, variables=known)
        found = lint(command, workdir=workdir, params=values, around=around, many=many)
        return [
            Notice(code=one.code, name=one.name, detail=one.detail, hint=one.hint) for one in found
        ]

    if len(command) <= SHORT:
        try:
            return _done(look(call.services.scripts.known))
        except NotReadYet:
            pass
    return asyncio.ensure_future(_elsewhere(call, look))


async def _elsewhere(
    call: Call, look: Callable[[Callable[[str], bytes | None]], list[Notice]]
) -> list[Notice]:
    """The same on a thread, which may wait for a disk; what was read is kept for the next."""
    read: dict[str, bytes | None] = {}

    def reading(path: str) -> bytes | None:
        if path not in read:
            read[path] = read_script(path)
        return read[path]

    notices = await call.services.work(look, reading)
    call.services.scripts.keep(read)
    return notices


def _done(notices: list[Notice]) -> Awaitable[list[Notice]]:
    """What is known already, to be awaited all the same; or never, by a refused request."""
    future: asyncio.Future[list[Notice]] = asyncio.get_running_loop().create_future()
    future.set_result(notices)
    return future


def of_plan(call: Call, body: DeclareSweep, plan: SweepPlanned) -> Awaitable[list[Notice]]:
    """The same for the one command that every run of a sweep is made from."""
    params = {str(axis["name"]): _some_value(axis) for axis in plan.axes}
    params |= dict((body.points or [{}])[0])
    if plan.seeds is not None:
        params.setdefault("seed", 0)
    workdir = body.workdir or str(call.services.settings.server.workspace)
    return begin(
        call, body.base_command, workdir=workdir, params=params, variables=body.env, many=True
    )


def _some_value(axis: Mapping[str, Any]) -> Any:
    """One value of a parameter; which one makes no difference to what is said."""
    values = axis.get("values") or [None]
    return axis.get("value", values[0])
