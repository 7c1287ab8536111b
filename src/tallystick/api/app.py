"""The application: one gate that every request passes, in one order.

Host, path, method, token, permission, parameters, body, route. What a route raises becomes a
problem document; nothing else leaves. The gate is the ASGI application itself, so that no layer
lies between it and the server.
"""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from itertools import chain
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tallystick.api import answers, auth, openapi, problems, protocols, queries
from tallystick.api.call import LARGE_BODY_BYTES, Call
from tallystick.api.routes import (
    alerts,
    artifacts,
    attempts,
    brief,
    budgets,
    cluster,
    control,
    conversion,
    guard,
    ledger,
    logs,
    metrics,
    not_offered,
    plans,
    policy,
    queue,
    run_lists,
    run_tables,
    runs,
    sessions,
    skills,
    streams,
    sweep_control,
    sweep_plans,
    sweeps,
    system,
    tokens,
    wild_events,
)
from tallystick.api.routing import Endpoint, Match, Permission, RouteTable
from tallystick.api.services import Services
from tallystick.control.credentials import hash_of
from tallystick.db.database import Transaction
from tallystick.domain.run import Run
from tallystick.domain.sweep import Sweep
from tallystick.domain.token import Token
from tallystick.errors import ForbiddenError, NotFoundError, TallystickError
from tallystick.projections import runs as run_questions
from tallystick.projections import sweeps as sweep_questions
from tallystick.projections import tokens as token_questions
from tallystick.wire.views import Warning as Notice

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_ANYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - recognised, not bound

ENDPOINTS: Final[tuple[Endpoint, ...]] = tuple(
    chain.from_iterable(
        module.ENDPOINTS
        for module in (
            system,
            skills,
            sweeps,
            sweep_plans,
            sweep_control,
            runs,
            run_lists,
            run_tables,
            queue,
            control,
            logs,
            metrics,
            artifacts,
            attempts,
            streams,
            sessions,
            brief,
            policy,
            guard,
            conversion,
            plans,
            tokens,
            cluster,
            alerts,
            budgets,
            wild_events,
            ledger,
            not_offered,
        )
    )
)
"""Every route of the server."""


class App:
    """The ASGI application over one server's parts."""

    def __init__(self, services: Services, endpoints: Iterable[Endpoint]) -> None:
        """Raises `TypeError` for an endpoint that declares no permission (P9.1)."""
        self.routes = RouteTable(endpoints)
        self.services = services
        self._tokens = auth.TokenCache(time.monotonic)
        self._host = services.settings.server.host
        self._max_body_bytes = services.settings.server.max_body_bytes
        self._document: bytes | None = None

    async def document(self) -> bytes:
        """The OpenAPI document, as JSON; made for the first who asks, not at every start."""
        if self._document is None:
            self._document = await self.services.parse(self._describe)
        return self._document

    def _describe(self) -> bytes:
        found = openapi.document(self.routes.endpoints, version=self.services.version)
        return answers.encode(found)

    def forget_tokens(self) -> None:
        """Look every token up again: one was revoked."""
        self._tokens.forget()

    async def still_open(self, call: Call) -> bool:
        """Whether the token of a call that goes on still opens it."""
        try:
            await self._token(call.headers)
        except TallystickError:
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; other kinds of connection are not spoken."""
        if scope["type"] != "http":
            raise TypeError(f"{scope['type']} is not spoken here")
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        _add_headers(response)
        if scope["method"] == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        """The answer, whatever happens."""
        headers = None
        try:
            return await self._pass(request)
        except problems.MethodError as error:
            refusal: TallystickError = error
            headers = {"allow": ", ".join(error.facts["allowed"])}
        except TallystickError as error:
            refusal = error
        except (ClientDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - the 500 handler: a bug is told by its id only
            call = f"{request.method} {request.url.path}"
            refusal = problems.incident(error, clock=self.services.clock, call=call)
        members = protocols.members(request.scope["path"], refusal)
        return problems.answer(refusal, headers=headers, members=members)

    async def _pass(self, request: Request) -> Response:
        """The gate itself, every check in its order."""
        headers = _headers_of(request.scope)
        self._check_host(headers)
        endpoint, path = self._find(request)
        token = None
        if endpoint.permission is not Permission.OPEN:
            token = await self._token(headers)
            auth.check_allowed(endpoint, token, path)
            if auth.is_bound(endpoint, token, path):
                auth.check_session(token, await self.services.read(lambda tx: _owned(tx, path)))
        given = request.query_params.multi_items() if request.scope["query_string"] else ()
        values, unknown = queries.read_all(endpoint.query, given)
        call = Call(
            services=self.services,
            gate=self,
            request=request,
            headers=headers,
            actor=auth.actor_of(token) if token is not None else auth.NOBODY,
            token=token,
            path=path,
            query=values,
        )
        call.warnings.extend(_unknown_parameter(name) for name in unknown)
        if endpoint.method in {"POST", "PUT", "PATCH"} and not endpoint.uploads:
            call.raw = await self._read_body(request, headers)
        if endpoint.body is not None:
            call.body, notices = await self._parse(endpoint, call.raw)
            call.warnings.extend(notices)
        response = await endpoint.route(call)
        if unknown:
            response.headers["x-tally-warnings"] = _header(call.warnings)
        return response

    def _check_host(self, headers: Mapping[str, str]) -> None:
        """A name that is not ours in Host is another site's page in somebody's browser."""
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if name in _LOOPBACK or (name and name.lower().strip("[]") == self._host.lower()):
            return
        if self._host in _ANYWHERE and _is_address(name.strip("[]")):
            return  # a page of another site cannot make a browser send a bare address
        raise ForbiddenError(
            f"Host: expected this server's own name or a loopback name; found {name[:80]!r}",
            code="host_not_allowed",
            hint="call the server as 127.0.0.1 or localhost, or by the host it was told to use",
        )

    def _find(self, request: Request) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint of a request; raises `NotFoundError` or `MethodError`."""
        raw = request.scope.get("raw_path") or request.scope["path"].encode()
        match = self.routes.find(raw.partition(b"?")[0])
        if match is None:
            raise NotFoundError(
                f"there is no {request.method} {request.scope['path'][:120]} here",
                code="path_unknown",
                next_actions=("GET /openapi.json lists every call", "GET /docs shows them"),
            )
        endpoint = _choose(match, request.method)
        return endpoint, dict(zip(endpoint.parameters, match.values, strict=True))

    async def _token(self, headers: Mapping[str, str]) -> Token:
        """The token of a request, usable; raises `UnauthenticatedError`."""
        secret = auth.credential(headers)
        if secret is None:
            raise auth.missing()
        digest = hash_of(secret)
        token = self._tokens.get(digest)
        if token is None:
            generation = self._tokens.generation
            token = await self.services.read(lambda tx: token_questions.by_hash(tx, digest))
            if token is not None:
                self._tokens.keep(digest, token, generation=generation)
        return auth.check_usable(token, now=self.services.clock.now())

    async def _read_body(self, request: Request, headers: Mapping[str, str]) -> bytes:
        """The whole body; raises `TooLargeError` as soon as it is too large."""
        limit = self._max_body_bytes
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        parts, size = [], 0
        while True:
            message = await request.receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _parse(self, endpoint: Endpoint, raw: bytes) -> tuple[Any, list[Notice]]:
        """The body in the shape that the endpoint declares."""
        if endpoint.body is None:
            return None, []
        if len(raw) > LARGE_BODY_BYTES:
            return await self.services.work(endpoint.body.read, raw)
        return endpoint.body.read(raw)


def create_app(services: Services, more: Iterable[Endpoint] = ()) -> App:
    """The application; refuses to be built when a route declares no permission.

    `more` are the routes of packages that stand above this one.
    """
    return App(services, (*ENDPOINTS, *more))


def _owned(tx: Transaction, path: Mapping[str, str]) -> Run | Sweep | None:
    """The run or the sweep of a path."""
    if "run" in path:
        return run_questions.get(tx, path["run"])
    return sweep_questions.get(tx, path["sweep"])


def _headers_of(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name; of one that is sent twice, the first counts."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in reversed(scope["headers"])
    }


def _choose(match: Match, method: str) -> Endpoint:
    """The endpoint for a method; HEAD is a GET whose answer has no body."""
    endpoint = match.methods.get("GET" if method == "HEAD" else method)
    if endpoint is None or (method == "HEAD" and endpoint.streams):
        offered = [name for name, item in match.methods.items() if not item.hidden]
        allowed = sorted(offered or match.methods)
        raise problems.MethodError(
            f"this path does not know {method}; expected {' or '.join(allowed)}",
            next_actions=tuple(f"{name} {match.methods[name].path}" for name in allowed),
            allowed=allowed,
        )
    return endpoint


def _too_large(limit: int) -> problems.TooLargeError:
    return problems.TooLargeError(
        f"body: expected at most {limit} bytes; found more",
        hint="send metrics in several batches; put long configuration into a file",
        limit_bytes=limit,
    )


def _unknown_parameter(name: str) -> Notice:
    return Notice(
        code="unknown_parameter",
        detail=f"query parameter {name[:80]}: not known here and was ignored",
    )


def _header(notices: Iterable[Notice]) -> str:
    """Warnings for answers that have no room for them: printable ASCII."""
    said = "; ".join(notice.detail for notice in notices if notice.code == "unknown_parameter")
    return "".join(char if " " <= char <= "~" else "?" for char in said)[:1000]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _add_headers(response: Response) -> None:
    present = {name for name, _ in response.raw_headers}
    response.raw_headers.extend(pair for pair in answers.HEADERS if pair[0] not in present)
