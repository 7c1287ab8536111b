"""The MCP server over the official SDK: lists, calls, resources and the prompt, for one `Reach`.

It holds no state of a conversation: every request stands for itself. Refusals are results with
`is_error`; a bug is told by a code and logged, and never ends the connection.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

from tallystick import __version__
from tallystick.client.client import Client
from tallystick.errors import NotFoundError, TallystickError
from tallystick.mcp import arguments, resources
from tallystick.mcp.answers import Said
from tallystick.mcp.asked import Asked
from tallystick.mcp.refusals import refused
from tallystick.mcp.session import Places, find
from tallystick.mcp.table import TOOLS, listed
from tallystick.mcp.waiting import Pace, wait_run
from tallystick.mcp.words import INSTRUCTIONS

T = TypeVar("T")
Context = ServerRequestContext[Any, Any]

WORKERS: Final = 16
"""Calls of the SDK at a time; each lasts milliseconds, and waiting is done without them."""
NAMES_PARAMETER: Final = "names"
OLDER: Final = "older"
LASTING: Final[tuple[CacheableMethod, ...]] = (
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
)
LASTING_MS: Final = 600_000
"""These lists change with the program alone."""

_log = logging.getLogger(__name__)


class Reach(Protocol):
    """How tools reach the Tallystick server from where they run."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Where a session may stand that the agent gave this process; empty in a shared one."""
        ...

    def client(self, headers: Mapping[str, str]) -> Client:
        """A client for whoever sent a request with these headers."""
        ...

    async def changed(self, headers: Mapping[str, str], noun: str, one: str, seconds: int) -> None:
        """Returns once one of the `runs` or `sweeps` has another status, or the seconds are over.

        Raises nothing that the next look would not raise.
        """
        ...


class _Tallystick:
    """What the SDK's server calls."""

    def __init__(self, reach: Reach, *, older: bool) -> None:
        self._reach = reach
        self._older = older
        self._workers = anyio.CapacityLimiter(WORKERS)

    async def list_tools(
        self, context: Context, _: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """The tools, in one page."""
        request = context.request
        asked = request is not None and request.query_params.get(NAMES_PARAMETER) == OLDER
        return types.ListToolsResult(tools=listed(older=self._older or asked))

    async def call_tool(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """The result of a call, whatever happens."""
        given = params.arguments or {}
        answered = partial(refused, tool=params.name, arguments=given)
        try:
            said = await self._act(context, params.name, given)
        except TallystickError as error:
            return answered(error)
        except Exception:  # noqa: BLE001 - a bug in one call must not end the others' connection
            _log.exception("the tool %r failed", params.name)
            return answered(_bug())
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=said.text)],
            structured_content=said.answer.model_dump(mode="json", exclude_none=True),
        )

    async def _act(self, context: Context, name: str, given: Mapping[str, Any]) -> Said:
        """What the tool answers; raises what the server refused."""
        tool = TOOLS.get(name)
        if tool is None:
            raise _unknown(name)
        read, notices = arguments.read(tool.takes, given)
        asked = self._asked(context, read.chat_session_id)
        asked.warnings.extend(notices)
        if tool.act is None:
            return await wait_run(asked, read, self._pace(context))  # type: ignore[arg-type]
        return await self._in_thread(partial(tool.act, asked, read))

    def _asked(self, context: Context, argument: str | None) -> Asked:
        """On whose behalf, and for which conversation."""
        headers = _headers(context)
        places = Places(
            argument=argument,
            meta=context.meta,
            headers=headers,
            environment=self._reach.environment,
        )
        return Asked(client=self._reach.client(headers), found=find(places))

    def _pace(self, context: Context) -> Pace:
        """How this connection waits."""
        return Pace(
            in_thread=self._in_thread,
            changed=partial(self._reach.changed, _headers(context)),
            progress=context.session.report_progress,
        )

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._workers)

    async def list_resources(
        self, _context: Context, _: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """The pages of the protocol; runs and sweeps are found by their templates."""
        return types.ListResourcesResult(resources=resources.pages())

    async def list_templates(
        self, _context: Context, _: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Addresses of runs and sweeps."""
        return types.ListResourceTemplatesResult(resource_templates=resources.templates())

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """One resource; raises the SDK's error for one that is not there."""
        asked = self._asked(context, None)
        return await self._in_thread(partial(resources.read, asked.client, params.uri))

    async def list_prompts(
        self, _context: Context, _: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """The one prompt."""
        return types.ListPromptsResult(prompts=resources.prompts())

    async def get_prompt(
        self, _context: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        """Its text."""
        return resources.prompt(params.name)


def build(reach: Reach, *, older: bool = False) -> Server[Any]:
    """The server; `older` lists the names that older prompts use."""
    own = _Tallystick(reach, older=older)
    lasting = {method: CacheHint(ttl_ms=LASTING_MS, scope="public") for method in LASTING}
    return Server(
        "tallystick",
        version=__version__,
        title="Tallystick",
        instructions=INSTRUCTIONS,
        cache_hints=lasting,
        get_tool_input_schema=_schema_of,
        on_list_tools=own.list_tools,
        on_call_tool=own.call_tool,
        on_list_resources=own.list_resources,
        on_list_resource_templates=own.list_templates,
        on_read_resource=own.read_resource,
        on_list_prompts=own.list_prompts,
        on_get_prompt=own.get_prompt,
    )


def _schema_of(name: str) -> Mapping[str, Any] | None:
    tool = TOOLS.get(name)
    return None if tool is None else arguments.schema_of(tool.takes)


def _headers(context: Context) -> Mapping[str, str]:
    """The headers of the request by lower-case name; empty where it came over a pipe."""
    return {} if context.request is None else dict(context.request.headers)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(
        f"there is no tool {name[:60]!r} here",
        code="tool_unknown",
        hint=f"known: {', '.join(TOOLS)}",
    )


def _bug() -> TallystickError:
    return TallystickError(
        "something went wrong inside the server; the cause is in its log",
        code="internal",
        hint="the same call may work again; if it does not, tell the researcher",
    )
