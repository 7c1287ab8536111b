"""Resources and the prompt: runs, sweeps and the protocol, for programs that read them as files."""

from typing import Final
from urllib.parse import unquote

import mcp_types as types
from mcp.shared.exceptions import MCPError

from tallystick.client.client import Client
from tallystick.errors import NotFoundError, TallystickError, UnavailableError
from tallystick.mcp.pages import FIRST, SCHEME, topics
from tallystick.wire import codec, problem

JSON: Final = "application/json"
MARKDOWN: Final = "text/markdown"
PROMPT: Final = "protocol"
LONGEST_URI: Final = 200


def pages() -> list[types.Resource]:
    """The protocol and the pages that it refers to."""
    return [
        types.Resource(
            uri=_uri_of(name),
            name=name,
            title=text.strip().partition("\n")[0].removeprefix("# "),
            description="The protocol of this server; read it before the first experiment."
            if name == FIRST
            else f"A page of the protocol: {name}.",
            mime_type=MARKDOWN,
            size=len(text.encode()),
        )
        for name, text in topics().items()
    ]


def templates() -> list[types.ResourceTemplate]:
    """Addresses of runs and sweeps."""
    return [
        types.ResourceTemplate(
            uri_template=f"{SCHEME}{noun}/{{id}}",
            name=noun,
            description=f"Everything the server knows of one {noun.removesuffix('s')}, as JSON.",
            mime_type=JSON,
        )
        for noun in ("runs", "sweeps")
    ]


def read(client: Client, uri: str) -> types.ReadResourceResult:
    """The contents of one address; raises `MCPError` with the problem when it leads nowhere."""
    try:
        text, media_type = _read(client, uri)
    except TallystickError as error:
        code = types.INTERNAL_ERROR if _is_passing(error) else types.INVALID_PARAMS
        raise MCPError(code, error.detail, problem.document(error)) from error
    contents = types.TextResourceContents(uri=uri, text=text, mime_type=media_type)
    return types.ReadResourceResult(contents=[contents])


def prompts() -> list[types.Prompt]:
    """The one prompt: the protocol, for a person who puts it into a conversation."""
    return [
        types.Prompt(
            name=PROMPT,
            title="Tallystick protocol",
            description="How experiments are run here: registered, watched and reported.",
        )
    ]


def prompt(name: str) -> types.GetPromptResult:
    """The text of the prompt; raises `MCPError` for another name."""
    if name != PROMPT:
        raise MCPError(types.INVALID_PARAMS, f"prompt: expected {PROMPT}, found {name[:60]!r}")
    content = types.TextContent(type="text", text=topics()[FIRST])
    return types.GetPromptResult(
        description="How experiments are run here.",
        messages=[types.PromptMessage(role="user", content=content)],
    )


def _read(client: Client, uri: str) -> tuple[str, str]:
    """Text and media type; raises `NotFoundError`, and what the server refuses."""
    noun, _, rest = uri.removeprefix(SCHEME).partition("/")
    name = unquote(rest)
    if uri.startswith(SCHEME) and len(uri) <= LONGEST_URI:
        if noun == FIRST and (name or FIRST) in (known := topics()):
            return known[name or FIRST], MARKDOWN
        if noun == "runs" and name:
            return codec.dumps(client.run(name)).decode(), JSON
        if noun == "sweeps" and name:
            return codec.dumps(client.sweep(name)).decode(), JSON
    raise NotFoundError(
        f"expected {SCHEME}runs/ID, {SCHEME}sweeps/ID or {SCHEME}{FIRST}; found {uri[:80]!r}",
        code="resource_not_found",
    )


def _uri_of(name: str) -> str:
    return f"{SCHEME}{FIRST}" if name == FIRST else f"{SCHEME}{FIRST}/{name}"


def _is_passing(error: TallystickError) -> bool:
    return isinstance(error, UnavailableError)
