"""Hostile strings through every field that takes text, made from the OpenAPI document.

Each is stored and comes back as it was sent, or is refused with what was expected and found;
nothing is a fault of the server, and nothing that was stored is lost by a restart (P6.1).
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from tallystick.domain.ids import Role
from tests.http.door import Door
from tests.http.hostile import HARDLY_JSON, STRINGS
from tests.http.test_guard import decision

pytestmark = pytest.mark.timeout(900)  # seconds each when nothing else runs

LONGEST_IN_URL: Final = 8_000
"""Longer request lines are the HTTP parser's affair; see test_wire.py."""

HEADERS: Final = (
    *("X-Auth-Token", "Authorization", "Idempotency-Key", "Last-Event-ID", "Origin", "Accept"),
    *("Content-Type", "Host", "X-Forwarded-For", "X-Forwarded-Host", "Accept-Encoding"),
)


@dataclass
class Operation:
    """One call of the document."""

    method: str
    path: str
    document: dict[str, Any]
    shapes: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_open(self) -> bool:
        return not self.document["security"]

    def parameters(self, where: str) -> list[str]:
        return [item["name"] for item in self.document["parameters"] if item["in"] == where]

    def body(self) -> Any:
        content = self.document.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("schema")

    def fields(self) -> Iterator[tuple[str, ...]]:
        """Paths of the texts in the body; `*` is a key of the caller's choice."""
        schema = self.body()
        if schema is not None:
            yield from _texts(schema, self.shapes, ())


def _texts(schema: Any, shapes: Any, where: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Where text may stand below `schema`, keys of open objects included."""
    reference = schema.get("$ref") or next(
        (part["$ref"] for part in schema.get("allOf", ()) if "$ref" in part), None
    )
    if reference is not None:
        schema = shapes[reference.rpartition("/")[2]]
    kinds = [schema, *schema.get("anyOf", ())]
    if any(kind.get("type") == "string" for kind in kinds):
        yield where
    for name, inner in schema.get("properties", {}).items():
        yield from _texts(inner, shapes, (*where, name))
    if schema.get("type") == "array":
        yield from _texts(schema["items"], shapes, (*where, "0"))
    more = schema.get("additionalProperties")
    is_open = more is not False and not schema.get("properties")
    if schema.get("type") == "object" and where and is_open:
        yield (*where, "*")
        yield (*where, "key")


def operations(door: Door) -> list[Operation]:
    document = door.get("/openapi.json", token=None)
    shapes = document["components"]["schemas"]
    return [
        Operation(method.upper(), path, operation, shapes)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


class Known:
    """Ids that exist, and a body for each call that would be taken."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.sweep = door.sweep()
        self.run, self.attempt = door.launched(self.sweep)
        asked = {"message": "m", "choices": ["continue"]}
        self.path = {
            "decision": "dec_ffffffffffff",
            "alert": door.post(f"/runs/{self.run}/alerts", asked)["alert_id"],
            "scope": door.sweep(),
            "run": self.run,
            "sweep": self.sweep,
            "attempt": self.attempt,
            "token": "tok_ffffffffffff",
            "session": "conversation-1",
            "skill": "tallystick-protocol",
            "path": "SKILL.md",
            "seq": "1",
        }

    def url(self, operation: Operation, **other: str) -> str:
        path = operation.path
        for name in operation.parameters("path"):
            path = path.replace(f"{{{name}}}", other.get(name, self.path[name]))
        return path

    def fitting(self, operation: Operation) -> dict[str, Any]:
        run: dict[str, Any] = {"name": "n", "command": "true", "chat_session_id": "conversation-1"}
        space = {"name": "n", "base_command": "true", "parameters": {"a": [1, 2]}}
        bodies: dict[str, dict[str, Any]] = {
            "POST /sweeps": {**space, "chat_session_id": "conversation-1"},
            "POST /sweeps/preview": space,
            "POST /runs": {**run, "sweep_id": self.sweep},
            "POST /sweeps/{sweep}/runs": run,
            "POST /sweeps/wild": {"chat_session_id": "conversation-1"},
            "POST /tokens": {"role": "agent"},
            "POST /runs/{run}/metrics": {"rows": [{"step": 1}]},
            "POST /runs/{run}/alerts": {"message": "m", "choices": ["continue"]},
            "POST /alerts/{alert}/respond": {"choice": "continue"},
            "POST /wild/v2/events/{session}/resolve": {"event_ids": ["1"]},
            "POST /guard/decisions": {"decisions": [decision("hostile")]},
            "POST /guard/exceptions": {"command": "python train.py"},
            "POST /policy/projects": {"root": "/p", "text": ""},
            "POST /convert": {"command": "python train.py"},
            "POST /plans/check": {"text": "python train.py"},
            "POST /attempts/{attempt}/observations": {"observations": [{"kind": "x"}]},
        }
        return bodies.get(operation.id, {})


def with_text(body: Any, where: tuple[str, ...], text: str) -> Any:
    """The body with `text` at that place."""
    name, rest = where[0], where[1:]
    if isinstance(body, list):
        return [with_text(body[0] if body else {}, rest, text) if rest else text]
    body = dict(body or {})
    if name == "*":
        return {text: "value"}
    inner: Any = [{}] if rest[:1] == ("0",) else {}
    body[name] = with_text(body.get(name) or inner, rest, text) if rest else text
    return body


def sane(answer: httpx.Response, *, what: str) -> None:
    """No fault of ours; and a refusal says what it refuses."""
    assert answer.status_code < 500, (what, answer.text[:500])
    assert len(answer.content) < 5_000_000, what
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", what
        problem = answer.json()
        assert problem["status"] == answer.status_code, what
        assert problem["code"], what
        assert problem["detail"], what
        assert len(answer.content) < 10_000, (what, "an error message is no place for a body")


def token_of(operation: Operation, known: Known) -> str:
    if operation.path.startswith("/attempts/"):
        return known.door.secret(known.attempt, Role.SUPERVISOR)
    return "admin"


def test_there_are_sixty_strings() -> None:
    assert len(STRINGS) >= 60
    assert len(set(STRINGS.values())) == len(STRINGS)


def test_hostile_text_in_a_body_is_kept_as_it_is_or_refused(open_door: Callable[[], Door]) -> None:
    door = open_door()
    known = Known(door)
    fields = [(item, where) for item in operations(door) for where in item.fields()]
    assert len(fields) >= 25, "the document names no fields any more"
    sent: list[tuple[str, tuple[str, ...], str]] = []
    for operation, where in fields:
        for name, text in STRINGS.items():
            body = with_text(known.fitting(operation), where, text)
            what = f"{operation.id} {'.'.join(where)} {name}"
            answer = door.call(
                operation.method, known.url(operation), json=body, token=token_of(operation, known)
            )
            sane(answer, what=what)
            if answer.status_code == 200 and operation.id in {"POST /runs", "POST /sweeps/wild"}:
                noun = operation.path.split("/")[1]
                kept(answer.json(), where, text, what=what)
                sent.append((f"/{noun}/{answer.json()['id']}", where, text))
    assert len(sent) > 300, "most of them are welcome"
    assert door.executed() == []
    door = open_door()
    for path, where, text in sent:
        kept(door.get(path), where, text, what=f"{path} after a restart")
    assert door.problems() == []


def kept(document: Any, where: tuple[str, ...], text: str, *, what: str) -> None:
    """The text stands in the answer as it was sent, unless it was secret or stood for nothing."""
    found: Any = document
    for name in where:
        if name == "*":
            found = next(iter(found), None)
        elif isinstance(found, list):
            found = found[0] if found else None
        elif found is not None:
            found = found.get(name)
    if "\x00" in text or found is None or "[redacted" in json.dumps(found):
        return
    if not text.strip() and where != ("goal",):
        return  # blank is as good as absent
    if where == ("chat_session_id",) and found == "unattributed":
        assert any(item["code"] == "session_placeholder" for item in document["warnings"]) or (
            "session_placeholder" in document["violations"]
        ), what
    else:
        assert found == text, what


@pytest.mark.parametrize("where", ["path", "query"])
def test_hostile_text_in_a_url_is_looked_up_or_refused(
    open_door: Callable[[], Door], where: str
) -> None:
    door = open_door()
    door.counted.frames = 1
    known = Known(door)
    places = [(item, name) for item in operations(door) for name in item.parameters(where)]
    assert len(places) >= 15
    for operation, place in places:
        token = None if operation.is_open else token_of(operation, known)
        for name, text in STRINGS.items():
            encoded = quote(text, safe="")
            if len(encoded) > LONGEST_IN_URL or (where == "path" and not text):
                continue
            if where == "path":
                url = known.url(operation, **{place: encoded})
            else:
                url = f"{known.url(operation)}?{place}={encoded}"
            answer = door.call(operation.method, url, token=token)
            sane(answer, what=f"{operation.id} {place} {name}")
    assert door.problems() == []


def test_hostile_bytes_in_a_url_are_refused(open_door: Callable[[], Door]) -> None:
    door = open_door()
    known = Known(door)
    for operation in operations(door):
        for place in operation.parameters("path"):
            for raw in ("%ff", "%c0%ae", "%ed%a0%80", "%", "%zz", "%00", "%25%32%65", "a%2fb"):
                url = known.url(operation, **{place: raw})
                token = None if operation.is_open else token_of(operation, known)
                sane(door.call(operation.method, url, token=token), what=f"{operation.id} {raw}")


def test_hostile_text_in_a_header_is_refused_or_has_no_effect(
    open_door: Callable[[], Door],
) -> None:
    door = open_door()
    door.counted.frames = 1
    sweep = door.sweep()
    body = {"name": "n", "command": "true", "chat_session_id": "conversation-1", "sweep_id": sweep}
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/events?after=-1", None),
        ("POST", "/runs", body),
    ]
    for header in HEADERS:
        for name, text in STRINGS.items():
            value = text.encode("utf-8")[:4_000]
            if any(byte < 32 or byte == 127 for byte in value) or value != value.strip():
                continue  # no client can send it; test_wire.py sends it anyway
            for method, path, content in calls:
                answer = door.call(method, path, json=content, headers={header: value})
                if answer.status_code == 400:
                    assert answer.text == "Invalid HTTP request received.", (header, name)
                    continue
                sane(answer, what=f"{method} {path} {header}: {name}")
                assert "set-cookie" not in answer.headers
                assert not [key for key in answer.headers if key.startswith("access-control")]
    assert door.problems() == []


def test_what_is_hardly_json_is_refused_in_words(open_door: Callable[[], Door]) -> None:
    door = open_door()
    known = Known(door)
    taking = [item for item in operations(door) if "requestBody" in item.document]
    assert len(taking) >= 15
    for operation in taking:
        for name, content in HARDLY_JSON.items():
            answer = door.call(
                operation.method,
                known.url(operation),
                content=content,
                headers={"Content-Type": "application/json"},
                token=token_of(operation, known),
            )
            sane(answer, what=f"{operation.id} {name}")
    assert door.problems() == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("twice", "duplicate_key"),
        ("lone surrogate", "lone_surrogate"),
        ("deep arrays", "body_malformed"),
        ("deep objects", "body_malformed"),
        ("not utf-8", "body_malformed"),
        ("utf-16", "body_malformed"),
        ("nan", "not_finite"),
        ("huge integer", "body_malformed"),
        ("gzip", "body_malformed"),
        ("escaped nul", "text_invalid"),
    ],
)
def test_the_code_says_what_is_wrong_with_a_body(door: Door, content: str, code: str) -> None:
    answer = door.call("POST", "/sweeps/wild", content=HARDLY_JSON[content])
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert "expected" in answer.json()["detail"]
