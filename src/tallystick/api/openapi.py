"""The OpenAPI document, made once from the endpoints and the dataclasses that they name.

Version 3.0.3, because the swagger-ui that is served without a network reads no later one. Answers
are described as they are, so that a checker may hold the server to them.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from tallystick.api import problems
from tallystick.api.bodies import documented, nested
from tallystick.api.call import LONGEST_KEY
from tallystick.api.routing import Endpoint, Permission
from tallystick.wire import problem

_REF: Final = "#/components/schemas/{model}"
_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}

_MEANING: Final[Mapping[int, str]] = {
    401: "No token, or one that opens nothing (any more).",
    403: "A token that may not do this, or a Host that is not this server's.",
    404: "There is no such thing.",
    409: "The present state does not allow it, or the Idempotency-Key was used for another body.",
    413: "The body is too large.",
    422: "The request is malformed, or the audit protocol does not allow it.",
    503: "Not possible just now; Retry-After says when to try again.",
}

_IDENTIFIERS: Final[Mapping[str, str]] = {
    "run": "Id of a run, `run_` and 12 hex digits.",
    "sweep": "Id of a sweep, `swp_` and 12 hex digits.",
    "attempt": "Id of an attempt, `att_` and 12 hex digits.",
    "token": "Id of a token, `tok_` and 12 hex digits.",
    "session": "Id of a session: chat_session_id.",
    "alert": "Id of an alert, `alr_` and 12 hex digits.",
    "decision": "Id of a decision of the guard, `dec_` and 12 hex digits.",
    "scope": "Id of a sweep, or of a session (`session:` before it, if you like).",
    "skill": "Id of a protocol text.",
    "seq": "Position in the ledger.",
    "path": "Path of a file or tile; may hold slashes.",
}


class _Generator(GenerateJsonSchema):
    """JSON Schema as OpenAPI 3.0 spells it."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if "enum" in inner:  # null has to be among the values too, says OpenAPI 3.0.3
            inner = inner | {"enum": [*inner["enum"], None]}
        return {"allOf": [inner], "nullable": True} if "$ref" in inner else inner | _NULLABLE

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return {"type": "string", "enum": list(schema["expected"])}


_NULLABLE: Final = {"nullable": True}

_PLAIN: Final[Mapping[str, Mapping[str, Any]]] = {
    "application/json": {"type": "object"},
    "text/event-stream": {
        "type": "object",
        "description": "One event of the stream.",
        "required": ["id", "data"],
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9]+$"},
            "event": {"type": "string"},
            "data": {"type": "string", "description": "A JSON object."},
        },
    },
}
"""Answers without a shape; those of other media types are text or bytes."""


def document(endpoints: Iterable[Endpoint], *, version: str) -> dict[str, Any]:
    """The document; hidden endpoints are left out."""
    shown = [endpoint for endpoint in endpoints if not endpoint.hidden]
    schemas, components = _schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in shown:
        path = endpoint.path.replace("*}", "}")
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(
            endpoint, schemas, components
        )
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Tallystick",
            "version": version,
            "description": "The experiment server that agents cannot skip. Start with "
            "`GET /prompt-skills/tallystick-protocol`. Times are Unix seconds. Refusals carry "
            "`next_actions`, the calls to make instead.",
            "license": {"name": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components | {"Problem": problems.schema()},
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _schemas(endpoints: list[Endpoint]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """The schema of every body and answer, and the components they refer to."""
    inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = []
    for endpoint in endpoints:
        if endpoint.answer is not None:
            for shape in nested(endpoint.answer):
                documented(shape)
            answer: TypeAdapter[Any] = TypeAdapter(endpoint.answer)
            inputs.append((_key(endpoint), "serialization", answer))
        if endpoint.body is not None:
            body: TypeAdapter[Any] = TypeAdapter(documented(endpoint.body.shape))
            inputs.append((_key(endpoint), "validation", body))
    schemas, definitions = TypeAdapter.json_schemas(
        inputs, ref_template=_REF, schema_generator=_Generator
    )
    components: dict[str, Any] = dict(definitions.get("$defs", {}))
    bodies = [endpoint.body.shape for endpoint in endpoints if endpoint.body is not None]
    for shape in set().union(*map(nested, bodies)):
        _narrow(components[shape.__name__]["properties"], shape)
    return dict(schemas), components


def _narrow(properties: dict[str, Any], shape: type[Any]) -> None:
    """Add what the fields of a body say of their values beyond the type."""
    for item in dataclasses.fields(shape):
        properties[item.name] |= item.metadata.get("schema", {})


def _key(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def _operation(
    endpoint: Endpoint, schemas: Mapping[Any, Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    """One operation."""
    description = _clean(endpoint.route.__doc__ or "")
    is_open = endpoint.permission is Permission.OPEN
    operation: dict[str, Any] = {
        "operationId": f"{_module(endpoint)}_{endpoint.route.__name__}",
        "tags": [_module(endpoint)],
        "summary": description.split("\n")[0].rstrip("."),
        "description": description,
        "parameters": _parameters(endpoint),
        "security": [] if is_open else [{"token": []}, {"bearer": []}],
        "responses": _responses(endpoint, schemas),
        "x-permission": endpoint.permission,
    }
    if endpoint.body is not None:
        schema = schemas[(_key(endpoint), "validation")]
        if endpoint.body.refuse_unknown:
            schema = components[schema["$ref"].rpartition("/")[2]] | {"additionalProperties": False}
        operation["requestBody"] = {
            "required": not endpoint.body.optional,
            "content": {"application/json": {"schema": schema}},
        }
    elif endpoint.method == "POST":
        operation["requestBody"] = {
            "required": True,
            "content": {"application/x-ndjson": {"schema": {"type": "string", "format": "binary"}}},
        }
    return operation


def _module(endpoint: Endpoint) -> str:
    return endpoint.route.__module__.rpartition(".")[2]


def _clean(docstring: str) -> str:
    """A docstring without its indentation."""
    return "\n".join(line.strip() for line in docstring.strip().splitlines())


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Path, query and header parameters."""
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _IDENTIFIERS.get(name, name),
            "schema": {"type": "string", "minLength": 1},
        }
        for name in endpoint.parameters
    ]
    parameters += [query.schema() for query in endpoint.query]
    if endpoint.creates:
        parameters.append(
            _header(
                "Idempotency-Key",
                "Your name for this request: repeating it with the same key and body makes "
                "nothing twice.",
                {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
            )
        )
    if endpoint.streams:
        parameters.append(
            _header(
                "Last-Event-ID",
                "Go on after this event.",
                {"type": "string", "pattern": "^[0-9]{0,18}$"},
            )
        )
    return parameters


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": schema,
    }


def _responses(endpoint: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    """The answer, and every refusal that the endpoint can give."""
    schema = _PLAIN.get(endpoint.media_type, {"type": "string"})
    if endpoint.answer is not None:
        schema = schemas[(_key(endpoint), "serialization")]
    content: dict[str, Any] = {endpoint.media_type: {"schema": dict(schema)}}
    for media_type in endpoint.also:
        kind = "object" if media_type == "application/json" else "string"
        content[media_type] = {"schema": {"type": kind}}
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": content}}
    for status in sorted(_refusals(endpoint)):
        responses[str(status)] = {
            "description": _MEANING[status],
            "content": {problem.MEDIA_TYPE: {"schema": _PROBLEM}},
        }
    return responses


def _refusals(endpoint: Endpoint) -> set[int]:
    """Status codes of an endpoint, beside 200."""
    found = {403, *endpoint.refusals}
    if endpoint.permission is not Permission.OPEN:
        found |= {401, 503}
    if endpoint.query or endpoint.body is not None or endpoint.parameters:
        found.add(422)
    if endpoint.method in {"POST", "PUT"}:
        found.add(413)
    if endpoint.creates:
        found.add(409)
    return found
