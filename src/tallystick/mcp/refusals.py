"""Errors as tool results: the code and detail of every other road, and the tool call to make next.

One text block holds the problem as JSON: `code`, `detail`, `hint`, `next_actions`. There is no
structured content beside it, because a client may hold that against the tool's output schema, which
is about what succeeded.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_types import CallToolResult, TextContent

from tallystick.errors import TallystickError, UnavailableError
from tallystick.mcp.answers import cut

LONGEST_DETAIL_BYTES = 1200
MOST_FACTS_BYTES = 600

_Build = Callable[[re.Match[str]], tuple[str, dict[str, Any]]]

_CALLS: Final[tuple[tuple[re.Pattern[str], _Build], ...]] = tuple(
    (re.compile(pattern), build)
    for pattern, build in (
        (
            r"(?:POST /sweeps/wild|GET /sweeps lists|tally sweep create NAME$)",
            lambda _: ("register_sweep", {"name": "…", "goal": "…"}),
        ),
        (
            r"(?:POST /sweeps(?: |$)|tally sweep create NAME )",
            lambda _: ("submit_runs", {"name": "…", "command": "…", "parameters": {}}),
        ),
        (r"(?:GET|PUT) /sweeps/(swp_\w+)", lambda found: ("get_sweep", {"sweep_id": found[1]})),
        (
            r"POST /sweeps/(swp_\w+)/stop",
            lambda found: ("stop_run", {"sweep_id": found[1], "confirm": True}),
        ),
        (
            r"POST /runs/(run_\w+)/(?:start|queue)",
            lambda found: ("start_run", {"run_id": found[1]}),
        ),
        (
            r"POST /runs/(run_\w+)/stop",
            lambda found: ("stop_run", {"run_id": found[1], "confirm": True}),
        ),
        (
            r"POST /runs/(run_\w+)/rerun",
            lambda _: ("register_run", {"name": "…", "command": "…", "sweep_id": "…"}),
        ),
        (
            r"POST /runs(?: |$)",
            lambda _: ("register_run", {"name": "…", "command": "…", "sweep_id": "…"}),
        ),
        (r"(?:GET|PUT) /runs/(run_\w+)", lambda found: ("get_run", {"run_id": found[1]})),
        (r"GET /runs", lambda _: ("list_runs", {})),
        (r"GET /prompt-skills", lambda _: ("tally_help", {})),
    )
)
"""Calls of the HTTP API, as refusals name them, and the tools that make them."""


def refused(error: TallystickError, *, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
    """The result of a call that was refused; `is_error` is set."""
    document: dict[str, Any] = {
        "code": error.code,
        "detail": cut(error.detail, LONGEST_DETAIL_BYTES),
        "hint": _hint(error),
        "next_actions": [action(text) for text in error.next_actions],
    }
    if isinstance(error, UnavailableError):
        document["retry_after_seconds"] = error.retry_after_seconds
        document["next_actions"].append({"tool": tool, "arguments": _told(arguments)})
    facts = json.dumps(error.facts, ensure_ascii=True, default=str)
    if error.facts and len(facts) <= MOST_FACTS_BYTES:
        document["facts"] = json.loads(facts)
    text = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace").decode()
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def action(text: str) -> dict[str, Any]:
    """A tool call where there is one for it; else the words as they are."""
    for pattern, build in _CALLS:
        found = pattern.match(text)
        if found is not None:
            tool, arguments = build(found)
            return {"tool": tool, "arguments": arguments}
    return {"call": text}


def _hint(error: TallystickError) -> str | None:
    """The hint, in the words of tools where the server's are about HTTP."""
    if error.code == "session_required":
        return (
            "call again with chat_session_id: the id that your agent gives this conversation, the "
            "same in every call"
        )
    return error.hint


def _told(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call that can be made again, unless they are long."""
    shown = json.dumps(dict(arguments), ensure_ascii=True, default=str)
    return json.loads(shown) if len(shown) <= MOST_FACTS_BYTES else {"…": "the same arguments"}
