"""Endpoints and how a request finds one.

Every endpoint declares one permission; a table with one that does not is never built (P9.1). Paths
are matched segment by segment, fixed segments before parameters, so the cost of a request does not
grow with the number of routes. `{name}` is one segment, `{name*}` the rest of the path.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from starlette.responses import Response

from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.queries import Query

Route = Callable[[Call], Awaitable[Response]]


class Permission(StrEnum):
    """What a caller must be allowed to do; one for each endpoint."""

    OPEN = "open"
    READ = "read"
    CREATE = "create"
    CONTROL = "control"
    METRICS = "metrics"
    TRACK = "track"
    """Another tracker's protocol; the route itself sees which run it is about."""
    REPORT = "report"
    ADMINISTER = "administer"
    PEOPLE = "people"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path; the route's docstring is its description."""

    method: str
    path: str
    route: Route
    permission: Permission | None = None
    """None is refused when the table is built."""
    query: tuple[Query, ...] = ()
    body: Body[Any] | None = None
    answer: Any = None
    """Shape of the 200, for the OpenAPI document; None for a plain object."""
    media_type: str = "application/json"
    also: tuple[str, ...] = ()
    """Other media types that the answer can have."""
    refusals: tuple[int, ...] = ()
    """Status codes beside those that follow from permission, parameters and body."""
    creates: bool = False
    """Takes an Idempotency-Key."""
    hidden: bool = False
    """Left out of the OpenAPI document: answers only that it is not offered."""
    uploads: bool = False
    """The route itself reads the body, piece by piece; it may be larger than other bodies."""
    streams: bool = False
    """Answers for as long as the caller listens."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the path's parameters, in order."""
        return tuple(part.strip("{*}") for part in self.path.split("/") if part.startswith("{"))


@dataclass(slots=True)
class _Node:
    """One position in the tree of paths."""

    fixed: dict[str, "_Node"] = field(default_factory=dict)
    any: "_Node | None" = None
    rest: "_Node | None" = None
    methods: dict[str, Endpoint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """What a path led to: its endpoints by method, and the values of its parameters."""

    methods: Mapping[str, Endpoint]
    values: tuple[str, ...]


_PARAMETER: Final = "{"


class RouteTable:
    """All endpoints of an app."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Raises `TypeError` for one without a permission, `ValueError` for one declared twice."""
        self.endpoints = tuple(endpoints)
        self._root = _Node()
        for endpoint in self.endpoints:
            if not isinstance(endpoint.permission, Permission):
                raise TypeError(f"{endpoint.method} {endpoint.path} declares no permission")
            self._add(endpoint)

    def _add(self, endpoint: Endpoint) -> None:
        node = self._root
        for segment in endpoint.path.split("/")[1:]:
            if not segment.startswith(_PARAMETER):
                node = node.fixed.setdefault(segment, _Node())
            elif segment.endswith("*}"):
                node.rest = node = node.rest or _Node()
            else:
                node.any = node = node.any or _Node()
        if endpoint.method in node.methods:
            raise ValueError(f"{endpoint.method} {endpoint.path} is declared twice")
        node.methods[endpoint.method] = endpoint

    def find(self, raw_path: bytes) -> Match | None:
        """The endpoints of a path as it stands in the request line, without its query."""
        try:
            path = raw_path.decode("ascii")
            segments = path.split("/")[1:]
            if "%" in path:
                segments = [unquote_to_bytes(part).decode() for part in segments]
        except UnicodeDecodeError:
            return None
        return _descend(self._root, segments, ())


def _descend(node: _Node, segments: list[str], values: tuple[str, ...]) -> Match | None:
    """Fixed segments first, then one parameter, then the rest."""
    if not segments:
        return Match(node.methods, values) if node.methods else None
    head, tail = segments[0], segments[1:]
    found = None
    if head in node.fixed:
        found = _descend(node.fixed[head], tail, values)
    if found is None and node.any is not None and head:
        found = _descend(node.any, tail, (*values, head))
    if found is None and node.rest is not None and node.rest.methods:
        found = Match(node.rest.methods, (*values, "/".join(segments)))
    return found
