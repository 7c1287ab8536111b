"""Every route, for every kind of caller, over a real socket (P9).

The routes come from the server; what each needs is written down here a second time, so that a
permission that changes by mistake is noticed.
"""

from dataclasses import dataclass
from typing import Final

import pytest

from tallystick.api.app import ENDPOINTS
from tallystick.api.routing import Endpoint
from tallystick.clock import SystemClock
from tallystick.control.credentials import hash_of
from tallystick.domain import commands
from tallystick.domain.ids import SYSTEM, Role, TokenId
from tallystick.testing.server import eventually
from tests.http.door import Door

OPEN: Final = {
    *("/", "/docs", "/docs/{file}", "/health", "/llms.txt", "/openapi.json"),
    *("/prompt-skills", "/prompt-skills/search", "/prompt-skills/{skill}"),
    *("/prompt-skills/{skill}/files", "/prompt-skills/{skill}/files/{path*}"),
}
"""The list of P9.1, with the parts of the pages in it; GET only."""

NEEDS: Final = {
    "create": {
        *("POST /sweeps/wild", "POST /sweeps/{sweep}/runs"),
        *("POST /runs", "POST /runs/{run}/rerun"),
        *("POST /sweeps", "POST /sweeps/preview"),
        "POST /guard/decisions",
    },
    "control": {
        *("PUT /runs/{run}", "POST /runs/{run}/start", "POST /runs/{run}/queue"),
        *("POST /runs/{run}/stop", "POST /runs/{run}/archive", "POST /runs/{run}/unarchive"),
        *("POST /cluster/detect", "POST /alerts/{alert}/respond"),
        *("POST /runs/{run}/add-to-sweep", "POST /runs/{run}/annotate"),
        *("PUT /sweeps/{sweep}", "POST /sweeps/{sweep}/start", "POST /sweeps/{sweep}/stop"),
        *("POST /sweeps/{sweep}/resume", "POST /sweeps/{sweep}/archive"),
        *("POST /sweeps/{sweep}/unarchive", "POST /wild/v2/events/{session}/resolve"),
    },
    "metrics": {
        *("POST /runs/{run}/metrics", "POST /runs/{run}/alerts"),
        *("POST /runs/{run}/artifacts", "PUT /runs/{run}/artifacts/{path*}"),
    },
    "report": {"POST /attempts/{attempt}/observations", "POST /attempts/{attempt}/metrics"},
    "administer": {"GET /tokens", "POST /tokens", "POST /tokens/{token}/revoke"},
    "people": {
        *("PUT /policy", "PUT /budgets/{scope}"),
        *("POST /cluster", "POST /cluster/drain", "POST /cluster/undrain"),
        *("POST /guard/exceptions", "POST /policy/projects"),
    },
}
"""What a route needs that changes something or hands out rights; all others need `read`."""

QUESTIONS: Final = {"/compare", "/convert", "/plans/check"}
"""POST, because what is asked about is long; they change nothing."""

NOT_OFFERED: Final = {item.path for item in ENDPOINTS if item.hidden and item.path not in OPEN}

MAY: Final = {
    "administrator": {"read", "create", "control", "metrics", "administer", "people"},
    "researcher": {"read", "create", "control", "metrics", "people"},
    "agent": {"read", "create", "control", "metrics"},
    "auditor": {"read"},
    "run": {"read", "metrics"},
    "supervisor": {"report"},
}

CLOSED: Final = {
    "none": "token_missing",
    "empty": "token_missing",
    "malformed": "token_unknown",
    "unknown": "token_unknown",
    "expired": "token_expired",
    "revoked": "token_revoked",
    "ended run": "token_revoked",
}
"""Callers who get in nowhere, and what they are told."""

BY_NAME: Final = {f"{item.method} {item.path}": item for item in ENDPOINTS}


@dataclass
class Cast:
    """A secret for each caller, and ids that exist."""

    door: Door
    secrets: dict[str, str]
    own: dict[str, str]
    others: dict[str, str]


@pytest.fixture(scope="module")
def cast(door: Door) -> Cast:
    door.counted.frames = 1
    sweep = door.sweep()
    run, attempt = door.launched(sweep)
    other_run, other_attempt = door.launched(sweep)
    own = {"run": run, "sweep": sweep, "attempt": attempt, "token": "tok_ffffffffffff"}
    secrets = {
        role: door.post("/tokens", {"role": role}, token="admin")["token"]
        for role in ("administrator", "researcher", "agent", "auditor")
    }
    secrets |= {role.value: door.secret(attempt, role) for role in (Role.RUN, Role.SUPERVISOR)}
    secrets |= {"empty": "", "malformed": "../\xe4 ' OR 1=1 --", "unknown": "tally_agent_x"}
    secrets |= {"expired": _expired(door), "revoked": _revoked(door)}
    secrets["ended run"] = _of_a_run_that_ended(door)
    return Cast(door, secrets, own, {**own, "run": other_run, "attempt": other_attempt})


def _expired(door: Door) -> str:
    command = commands.CreateToken(
        token=TokenId("tok_eeeeeeeeeeee"),
        role=Role.ADMINISTRATOR,
        sha256=hash_of("an-expired-one"),
        expires_at=SystemClock().now() + 200,
    )
    door.server.handler.handle(command, by=SYSTEM)
    eventually(lambda: door.call("GET", "/runs", token="an-expired-one").status_code == 401)
    return "an-expired-one"


def _revoked(door: Door) -> str:
    made = door.post("/tokens", {"role": "administrator"}, token="admin")
    door.post(f"/tokens/{made['id']}/revoke", token="admin")
    return str(made["token"])


def _of_a_run_that_ended(door: Door) -> str:
    """The command could not be executed, says its supervisor."""
    run, attempt = door.launched(door.sweep())
    started = {"kind": "supervisor_started", "n": 1, "at": 1}
    report = [
        {**started, "pid": 2, "start_ticks": 3, "boot_id": "b"},
        {"kind": "command_refused", "n": 2, "at": 2, "code": "exec_failed", "detail": "no"},
        {"kind": "ended", "n": 3, "at": 3, "cause": "refused"},
    ]
    path, secret = f"/attempts/{attempt}/observations", door.secret(attempt, Role.SUPERVISOR)
    door.post(path, {"observations": report}, token=secret)
    assert door.get(f"/runs/{run}")["status"] == "failed"
    return door.secret(attempt, Role.RUN)


def path_of(endpoint: Endpoint, values: dict[str, str]) -> str:
    path = endpoint.path
    for name in endpoint.parameters:
        value = values.get(name, "x")
        path = path.replace(f"{{{name}*}}", value).replace(f"{{{name}}}", value)
    return path


def needed(name: str) -> str:
    endpoint = BY_NAME[name]
    if endpoint.path in OPEN:
        return "open"
    return next((word for word, names in NEEDS.items() if name in names), "read")


def test_the_table_of_this_file_names_routes_that_exist() -> None:
    assert {name for names in NEEDS.values() for name in names} <= set(BY_NAME)
    assert {f"GET {path}" for path in OPEN} <= set(BY_NAME)


def test_only_get_is_open_and_only_where_the_protocol_says() -> None:
    found = {name for name, item in BY_NAME.items() if item.permission == "open"}
    assert found == {f"GET {path}" for path in OPEN}


def test_whatever_changes_something_needs_more_than_reading() -> None:
    for name, endpoint in BY_NAME.items():
        if endpoint.method != "GET" and endpoint.path not in NOT_OFFERED | QUESTIONS:
            assert needed(name) not in {"open", "read"}, f"{name} is missing in the table above"


@pytest.mark.parametrize("name", list(BY_NAME))
def test_nobody_without_a_usable_token_gets_in(name: str, cast: Cast) -> None:
    endpoint = BY_NAME[name]
    for caller, code in CLOSED.items():
        headers: dict[str, bytes] = {}
        if caller != "none":
            headers["X-Auth-Token"] = cast.secrets[caller].encode("latin-1")
        answer = cast.door.call(
            endpoint.method, path_of(endpoint, cast.own), token=None, headers=headers
        )
        if needed(name) == "open":
            assert answer.status_code in {200, 404}, (caller, answer.text)
        else:
            assert (answer.status_code, answer.json()["code"]) == (401, code), caller
            assert answer.headers["www-authenticate"]


@pytest.mark.parametrize("role", list(MAY))
@pytest.mark.parametrize("name", list(BY_NAME))
def test_each_role_gets_in_where_it_may_and_nowhere_else(name: str, role: str, cast: Cast) -> None:
    endpoint, word = BY_NAME[name], needed(name)
    inside = word == "open" or word in MAY[role]
    if role == "run" and word != "open":
        inside = inside and "run" in endpoint.parameters
    for values, own in ((cast.own, True), (cast.others, False)):
        if word != "open" and (
            (role == "run" and "run" in endpoint.parameters)
            or (role == "supervisor" and "attempt" in endpoint.parameters)
        ):
            expected = inside and own
        else:
            expected = inside
        answer = cast.door.call(
            endpoint.method, path_of(endpoint, values), token=cast.secrets[role]
        )
        assert answer.status_code < 500
        assert (answer.status_code not in {401, 403}) == expected, (own, answer.text)
