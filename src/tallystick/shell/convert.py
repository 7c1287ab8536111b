"""From a command line to the calls that register it (P7.2); pure.

The text stays as it is, byte for byte: it is quoted once and given to `tally exec`, which registers
it and behaves as if it had run in its place. What the shell that typed it must still see is kept
outside: a line that starts something in the background gives the prompt back.
"""

import json
import shlex
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tallystick.shell.classify import Around, Judgement, Rules, Verdict, judge
from tallystick.shell.expand import Expansion, expand
from tallystick.shell.parse import parse

NAME_CHARACTERS: Final = 60
_SERVER: Final = "$SERVER_URL"
_AROUND: Final = Around()
_RULES: Final = Rules()


class Conversion(NamedTuple):
    """What to do instead of executing a command line."""

    judgement: Judgement
    cli: str
    """The line for a shell."""
    calls: tuple[dict[str, Any], ...]
    """The HTTP calls: `method`, `path`, `body`; placeholders are in angle brackets."""
    curl: str
    """The same calls for a shell, with quoting that expands what has to be expanded."""

    def view(self) -> dict[str, Any]:
        """As JSON."""
        found = self.judgement
        return {
            "verdict": found.verdict.value,
            "reason": found.reason,
            "detail": found.detail,
            "span": list(found.span),
            "text": found.text,
            "via": list(found.via),
            "convert": found.verdict is not Verdict.UTILITY,
            "cli": self.cli,
            "calls": list(self.calls),
            "curl": self.curl,
        }


def exec_line(
    command: str,
    *,
    program: str = "tally",
    session: str | None,
    origin: str | None,
    extra: Sequence[str] = (),
) -> str:
    """The shell line that takes the place of a command.

    `program` is the `tally` to call, `origin` what led to it, `extra` further options of `tally
    exec`. A single statement that ends in `&` loses it: its run is registered and left.
    """
    text, is_left = _foreground(command)
    expansion = expand(text)
    options = [
        *(("--session", session) if session else ()),
        *(("--origin", origin) if origin else ()),
    ]
    options += ["--env-all", *extra]
    if is_left or (expansion is not None and not expansion.waits):
        options.append("--detach")
    if expansion is not None:
        options.append("--split")
    return f"{shlex.join([program, 'exec', *options])} -- {shlex.quote(text)}"


def convert(
    command: str,
    *,
    workdir: str | None = None,
    session: str | None = None,
    sweep: str | None = None,
    around: Around = _AROUND,
    rules: Rules = _RULES,
) -> Conversion:
    """What to do instead of executing `command`; for a utility, how to register it all the same."""
    text, _ = _foreground(command)
    expansion = expand(text)
    calls = _calls(text, expansion, workdir=workdir, session=session, sweep=sweep)
    extra = ("--sweep", sweep) if sweep else ()
    return Conversion(
        judgement=judge(command, around=around, rules=rules),
        cli=exec_line(command, session=session, origin=None, extra=extra),
        calls=calls,
        curl="\n".join(_curl(call) for call in calls),
    )


def _foreground(command: str) -> tuple[str, bool]:
    """A line without the `&` behind its only statement, and whether it had one."""
    text = command.rstrip()
    if not text.endswith("&") or text.endswith(("&&", "\\&", ">&")):
        return command, False
    found = parse(command)
    is_last = len(found.statements) == 1 and found.statements[0].background
    if not is_last or found.has_error or found.documents:
        return command, False
    return text[:-1].rstrip(), True


def _calls(
    command: str,
    expansion: Expansion | None,
    *,
    workdir: str | None,
    session: str | None,
    sweep: str | None,
) -> tuple[dict[str, Any], ...]:
    """One sweep, and one run for each configuration."""
    who = {"chat_session_id": session or "<chat_session_id>"}
    where = {"workdir": workdir} if workdir else {}
    calls: list[dict[str, Any]] = []
    if sweep is None:
        about = {"name": _name(command), "goal": "<what the runs are to find out>"}
        calls.append({"method": "POST", "path": "/sweeps/wild", "body": {**about, **who}})
    into = {"sweep_id": sweep or "<id of the sweep>"}
    for run in _runs(command, expansion):
        body = {**run, **where, **into, **who, "auto_start": True}
        calls.append({"method": "POST", "path": "/runs", "body": body})
    return tuple(calls)


def _runs(command: str, expansion: Expansion | None) -> list[dict[str, Any]]:
    """What distinguishes each run."""
    if expansion is None:
        return [{"name": _name(command), "command": command}]
    return [
        {
            "name": " ".join(f"{name}={value}" for name, value in point.params.items()),
            "command": point.command,
            "params": {name: _typed(value) for name, value in point.params.items()},
        }
        for point in expansion.points
    ]


def _typed(value: str) -> str | int | float:
    """A number, where the same text comes back from it."""
    for kind in (int, float):
        try:
            if str(kind(value)) == value and value.lstrip("-")[:1].isdigit():
                return kind(value)
        except ValueError:
            continue
    return value


def _name(command: str) -> str:
    """What people see: the beginning of the first line."""
    line = " ".join(command.strip().splitlines()[:1]).strip() or "command"
    return line if len(line) <= NAME_CHARACTERS else line[: NAME_CHARACTERS - 1] + "…"


def _curl(call: dict[str, Any]) -> str:
    """A call for a shell; the body stands in a here-document that expands nothing by accident."""
    body = json.dumps(call["body"], ensure_ascii=False, indent=1)
    body = body.replace("\\", "\\\\").replace("$", "\\$").replace("`", "\\`")
    body = body.replace('"<chat_session_id>"', '"$CHAT_SESSION_ID"')
    body = body.replace('"<id of the sweep>"', '"$SWEEP_ID"')
    return (
        f'curl -sS -X {call["method"]} "{_SERVER}{call["path"]}" \\\n'
        f'  -H "X-Auth-Token: $AUTH_TOKEN" -H "Content-Type: application/json" \\\n'
        f"  -d @- <<EOF\n{body}\nEOF"
    )
