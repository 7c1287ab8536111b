# ruff: noqa: INP001 - a part of docs/generate.py, never imported as `http`
"""docs/reference/http-api.md: every call, its parameters, the shapes of bodies and answers."""

import dataclasses
import re
import types
from collections.abc import Iterable, Iterator
from typing import Any, Union, get_args, get_origin, get_type_hints

from docs.pages.markdown import MADE, code, field_rows, prose, table, type_name
from tallystick.api.app import ENDPOINTS
from tallystick.api.routes.not_offered import TABLE
from tallystick.api.routing import Endpoint

INTRO = """\
`X-Auth-Token: …` or `Authorization: Bearer …` carries the token; every path but the open ones needs
one. Success is 200. Errors are [problem documents](errors.md). Times are Unix seconds. Creating
answers carry a `receipt` (`seq`, `leaf_hash`, `checkpoint`) and `warnings`; with an
`Idempotency-Key` a repeated call creates nothing twice. `GET /openapi.json` says the same for
machines, `GET /docs` for browsers.
"""

NOT_OFFERED = """\
# Not offered

Calls that older agents know. Each is refused (`not_offered`, 404 or 405) with what to call instead.
"""


def page() -> str:
    """The page."""
    shown = [endpoint for endpoint in ENDPOINTS if not endpoint.hidden]
    rows = [
        (
            f"[`{each.method} {each.path}`](#{_anchor(each)})",
            str(each.permission),
            prose((each.route.__doc__ or "").strip().split("\n\n")[0]),
        )
        for each in shown
    ]
    parts = ["# The HTTP API\n", MADE, INTRO, table(("Call", "Needs", "What it does"), rows) + "\n"]
    for endpoint in shown:
        parts += _endpoint(endpoint)
    parts.append("# Shapes\n")
    for shape in _shapes(shown):
        fields = list(field_rows(shape, hints=get_type_hints(shape)))
        inner = table(("Field", "Type", "Meaning"), fields) if fields else "No fields."
        parts += [f"## {shape.__name__}\n", prose(shape.__doc__) + "\n", inner + "\n"]
    instead = ((code(f"{method} {path}"), call) for method, path, call in TABLE)
    return "\n".join([*parts, NOT_OFFERED, table(("Call", "Instead"), instead) + "\n"])


def _anchor(endpoint: Endpoint) -> str:
    title = f"{endpoint.method} {endpoint.path}".lower()
    return re.sub(r"[^a-z0-9 _-]", "", title).replace(" ", "-")


def _endpoint(endpoint: Endpoint) -> Iterator[str]:
    """The section of one call."""
    yield f"## `{endpoint.method} {endpoint.path}`\n"
    yield prose(endpoint.route.__doc__) + "\n"
    facts = [f"Needs: {endpoint.permission}."]
    if endpoint.body is not None:
        facts.append(f"Body: {_link(endpoint.body.shape)}.")
    if endpoint.answer is not None:
        facts.append(f"Answer: {_link(endpoint.answer)}.")
    if endpoint.streams:
        facts.append("Streams (SSE).")
    if endpoint.creates:
        facts.append("Takes an `Idempotency-Key`.")
    yield " ".join(facts) + "\n"
    if endpoint.query:
        rows = []
        for query in endpoint.query:
            default = "" if query.default is None else str(query.default).lower()
            choices = f" One of {', '.join(query.choices)}." if query.choices else ""
            rows.append(
                (
                    code(query.name),
                    "required" if query.required else default,
                    query.description + choices,
                )
            )
        yield table(("Parameter", "Default", "Meaning"), rows) + "\n"


def _link(hint: Any) -> str:
    """A type, its shape linked."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_link(part) for part in get_args(hint))
    if get_origin(hint) is list:
        return f"list of {_link(get_args(hint)[0])}"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return type_name(hint)


def _shapes(endpoints: Iterable[Endpoint]) -> list[type[Any]]:
    """Every dataclass of a body or an answer, by name."""
    found: dict[str, type[Any]] = {}
    for endpoint in endpoints:
        for hint in (endpoint.body.shape if endpoint.body else None, endpoint.answer):
            found |= {shape.__name__: shape for shape in _nested(hint)}
    return [found[name] for name in sorted(found)]


def _nested(hint: Any) -> Iterator[type[Any]]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint
        for inner in get_type_hints(hint).values():
            yield from _nested(inner)
    for inner in get_args(hint):
        yield from _nested(inner)
