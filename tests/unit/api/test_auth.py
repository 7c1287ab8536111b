"""Every route with every role and with no token, made from the routes themselves (P9)."""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from tallystick.api import auth
from tallystick.api.app import ENDPOINTS
from tallystick.api.routing import Endpoint, Permission
from tallystick.control.commands import Accepted
from tallystick.control.credentials import Mint
from tallystick.control.data_dir import MINT_FILE
from tallystick.domain.commands import Command
from tallystick.domain.ids import AttemptId, Role, SessionId, TokenId
from tallystick.domain.token import Token
from tallystick.errors import UnauthenticatedError
from tests.unit.api.in_process import Api

PERMITTED = {
    "administrator": {"open", "read", "create", "control", "metrics", "administer", "people"},
    "researcher": {"open", "read", "create", "control", "metrics", "people"},
    "agent": {"open", "read", "create", "control", "metrics"},
    "auditor": {"open", "read"},
    "run": {"open", "read", "metrics"},
    "supervisor": {"open", "report"},
}
"""Written down a second time on purpose: the rule, not the code."""

NOWHERE = {
    "run": "run_ffffffffffff",
    "sweep": "swp_ffffffffffff",
    "attempt": "att_ffffffffffff",
    "token": "tok_ffffffffffff",
}


@dataclass
class Cast:
    """A token of every role, and what the last two belong to."""

    api: Api
    tokens: dict[str, str]
    run: str
    attempt: str


@pytest.fixture(scope="module")
def cast(shared_api: Api) -> Iterator[Cast]:
    api = shared_api
    tokens = {
        role: api.post("/tokens", {"role": role}, token="admin")["token"]
        for role in ("administrator", "researcher", "agent", "auditor")
    }
    run = api.register(command="sleep 600", auto_start=True)["id"]
    attempt = api.launched(run)
    mint = Mint((api.server.settings.server.data_dir / MINT_FILE).read_bytes())
    for role in (Role.RUN, Role.SUPERVISOR):
        tokens[role.value] = mint.secret(AttemptId(attempt), role)
    yield Cast(api, tokens, run, attempt)
    api.post(f"/runs/{run}/stop")
    api.finished(run)


def url(endpoint: Endpoint, cast: Cast, role: str) -> str:
    own = {"run": {"run": cast.run}, "supervisor": {"attempt": cast.attempt}}.get(role, {})
    path = endpoint.path
    for name in endpoint.parameters:
        value = own.get(name) or NOWHERE.get(name, "x")
        path = path.replace(f"{{{name}*}}", value).replace(f"{{{name}}}", value)
    return path


def expected(endpoint: Endpoint, role: str) -> bool:
    assert endpoint.permission is not None
    if endpoint.permission.value not in PERMITTED[role]:
        return False
    if endpoint.permission is Permission.OPEN:
        return True
    return role != "run" or "run" in endpoint.parameters


ids = [f"{item.method} {item.path}" for item in ENDPOINTS]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=ids)
def test_every_route_is_closed_without_a_token(endpoint: Endpoint, cast: Cast) -> None:
    answer = cast.api.call(endpoint.method, url(endpoint, cast, ""), token=None)
    if endpoint.permission is Permission.OPEN:
        assert answer.status_code in {200, 404}
        assert endpoint.method == "GET"
    else:
        assert answer.status_code == 401
        assert answer.json()["code"] == "token_missing"
        assert answer.json()["detail"].startswith("Unauthorized")


@pytest.mark.parametrize("role", list(PERMITTED))
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=ids)
def test_every_role_opens_what_it_may_and_nothing_else(
    endpoint: Endpoint, role: str, cast: Cast
) -> None:
    allowed = expected(endpoint, role)
    if allowed and endpoint.streams:
        return  # it would answer for as long as the run lives
    path = url(endpoint, cast, role)
    answer = cast.api.call(endpoint.method, path, token=cast.tokens[role])
    assert (answer.status_code not in {401, 403}) == allowed, answer.text
    assert answer.status_code < 500, answer.text


def test_a_runs_token_opens_its_own_run_only(cast: Cast) -> None:
    other = cast.api.register()["id"]
    for path in (f"/runs/{other}", f"/runs/{other}/logs", f"/runs/{other}/metrics", "/runs"):
        answer = cast.api.call("GET", path, token=cast.tokens["run"])
        assert (answer.status_code, answer.json()["code"]) == (403, "token_scope")
    rows = {"rows": [{"step": 1, "loss": 0.5}]}
    own, foreign = f"/runs/{cast.run}/metrics", f"/runs/{other}/metrics"
    assert cast.api.call("POST", own, json=rows, token=cast.tokens["run"]).status_code == 200
    assert cast.api.call("POST", foreign, json=rows, token=cast.tokens["run"]).status_code == 403


def test_a_supervisors_token_reports_on_its_own_attempt_only(cast: Cast) -> None:
    body: dict[str, list[object]] = {"observations": []}
    token = cast.tokens["supervisor"]
    own = cast.api.call("POST", f"/attempts/{cast.attempt}/observations", json=body, token=token)
    assert (own.status_code, list(own.json())) == (200, ["acknowledged"])
    other = cast.api.call("POST", "/attempts/att_ffffffffffff/observations", json=body, token=token)
    assert (other.status_code, other.json()["code"]) == (403, "token_scope")


def test_a_revoked_token_fails_at_once(api: Api) -> None:
    made = api.post("/tokens", {"role": "agent"}, token="admin")
    for _ in range(3):
        assert api.call("GET", "/runs", token=made["token"]).status_code == 200
    api.post(f"/tokens/{made['id']}/revoke", token="admin")
    answer = api.call("GET", "/runs", token=made["token"])
    assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")


def test_the_token_of_a_run_that_has_ended_opens_nothing(fresh_api: Api) -> None:
    api = fresh_api
    run = api.register(auto_start=True)["id"]
    attempt = api.finished(run)["attempt"]
    mint = Mint((api.server.settings.server.data_dir / MINT_FILE).read_bytes())
    answer = api.call("GET", f"/runs/{run}", token=mint.secret(attempt, Role.RUN))
    assert (answer.status_code, answer.json()["code"]) == (401, "token_revoked")
    assert "run has ended" in answer.json()["detail"]


def test_an_unknown_token_is_told_nothing_about_itself(api: Api) -> None:
    answers = {
        api.call("GET", "/runs", token=token).text for token in ("x", "tally_agent_y", "x" * 5000)
    }
    assert len(answers) == 1
    assert '"token_unknown"' in answers.pop()


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer "}, {"Authorization": "Basic eA=="}])
def test_a_header_without_a_token_is_no_token(api: Api, headers: dict[str, str]) -> None:
    answer = api.call("GET", "/runs", token=None, headers=headers)
    assert answer.json()["code"] == "token_missing"


def test_a_bearer_token_is_as_good_as_the_other_header(api: Api) -> None:
    headers = {"Authorization": f"bearer {api.agent}"}
    assert api.call("GET", "/runs", token=None, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8787", 200),
        ("localhost:1", 200),
        ("[::1]:8787", 200),
        ("evil.example", 403),
        ("evil.example:8787", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("10.0.0.7", 403),
        ("", 403),
    ],
)
def test_another_sites_name_is_refused(api: Api, host: str, status: int) -> None:
    for path in ("/health", "/runs"):
        assert api.call("GET", path, headers={"Host": host}).status_code == status


def test_no_other_origin_is_ever_let_in(api: Api) -> None:
    answer = api.call("GET", "/health", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def token(**fields: object) -> Token:
    known = {"id": TokenId("tok_1"), "role": Role.AGENT, "sha256": "", "created_at": 0}
    return Token(**{**known, "created_seq": 1, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (None, "token_unknown"),
        (token(revoked_at=5), "token_revoked"),
        (token(expires_at=10), "token_expired"),
        (token(expires_at=5, revoked_at=5), "token_revoked"),
        (token(role=Role.SYSTEM), "token_unknown"),
    ],
)
def test_a_token_that_opens_nothing_says_why(state: Token | None, code: str) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        auth.check_usable(state, now=10)
    assert caught.value.code == code


class Moment:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_cache_forgets_after_a_second_and_when_told() -> None:
    moment = Moment()
    cache = auth.TokenCache(moment)
    cache.keep("a", token(), generation=cache.generation)
    assert cache.get("a") is not None
    moment.now += auth.KEPT_SECONDS + 0.001
    assert cache.get("a") is None
    cache.keep("a", token(), generation=cache.generation)
    cache.forget()
    assert cache.get("a") is None


def test_what_was_read_before_a_revocation_is_not_kept_after_it() -> None:
    cache = auth.TokenCache(Moment())
    generation = cache.generation
    cache.forget()
    cache.keep("a", token(), generation=generation)
    assert cache.get("a") is None


def test_tokens_of_runs_are_looked_up_every_time() -> None:
    cache = auth.TokenCache(Moment())
    for role in (Role.RUN, Role.SUPERVISOR):
        cache.keep("a", token(role=role), generation=cache.generation)
        assert cache.get("a") is None


def test_the_cache_is_bounded() -> None:
    cache = auth.TokenCache(Moment())
    for number in range(auth.KEPT + 10):
        cache.keep(str(number), token(), generation=cache.generation)
    assert cache.get("0") is None
    assert cache.get(str(auth.KEPT + 9)) is not None


def test_the_actor_is_who_the_credential_says(api: Api) -> None:
    body = {"name": "s", "chat_session_id": "c", "actor": "administrator", "created_by": "person"}
    assert api.post("/sweeps/wild", body)["created_by"] == "agent"


def test_a_token_of_a_session_speaks_for_no_other(api: Api) -> None:
    made = api.post("/tokens", {"role": "agent", "session": "bound-1"}, token="admin")
    inherited = api.post("/sweeps/wild", {"name": "s"}, token=made["token"])
    assert inherited["chat_session_id"] == SessionId("bound-1")
    body = {"name": "s", "chat_session_id": "another"}
    answer = api.call("POST", "/sweeps/wild", json=body, token=made["token"])
    assert (answer.status_code, answer.json()["code"]) == (403, "session_mismatch")


def test_a_token_of_a_session_acts_on_no_run_of_another(api: Api) -> None:
    bound = api.post("/tokens", {"role": "agent", "session": "mine"}, token="admin")["token"]
    other = api.register()["id"]
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", f"/runs/{other}/{verb}", {})
        for verb in ("start", "queue", "stop", "rerun", "archive", "unarchive")
    ]
    calls += [
        ("PUT", f"/runs/{other}", {"name": "x"}),
        ("POST", f"/runs/{other}/metrics", {"rows": [{"loss": 1}]}),
    ]
    for method, path, body in calls:
        answer = api.call(method, path, json=body, token=bound)
        assert (answer.status_code, answer.json()["code"]) == (403, "session_scope"), path
        assert answer.json()["hint"]
    assert api.get(f"/runs/{other}", token=bound)["status"] == "ready"
    sweep = api.get(f"/runs/{other}")["sweep_id"]
    body = {"name": "r", "command": "true", "sweep_id": sweep}
    own = api.post("/runs", body, token=bound)
    assert own["chat_session_id"] == "mine"
    assert api.post(f"/runs/{own['id']}/archive", token=bound)["run"]["is_archived"]
    placeholder = {**body, "chat_session_id": "$CHAT_SESSION_ID"}
    nobodys = api.post("/runs", placeholder)
    assert api.post(f"/runs/{nobodys['id']}/archive", token=bound)["run"]["is_archived"]
    missing = api.call("POST", "/runs/run_ffffffffffff/stop", token=bound)
    assert missing.status_code == 404


def test_a_secret_is_shown_when_its_commit_only_seemed_to_fail(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer finds the first try in the ledger, and answers as to a repeat."""
    services = api.server.app.services

    class Doubtful:
        broken = None

        def submit(self, command: Command, **more: Any) -> Future[Accepted]:
            accepted = api.server.handler.submit(command, **more).result()
            future: Future[Accepted] = Future()
            future.set_result(dataclasses.replace(accepted, replayed=True))
            return future

    with monkeypatch.context() as patch:
        doubtful = dataclasses.replace(services, handler=Doubtful())
        patch.setattr(api.server.app, "services", doubtful)
        secret = api.post("/tokens", {"role": "agent"}, token="admin")["token"]
    assert api.call("GET", "/runs", token=secret).status_code == 200
    key = {"Idempotency-Key": "one-token"}
    first, again = (
        api.post("/tokens", {"role": "agent"}, token="admin", headers=key) for _ in range(2)
    )
    assert (first["id"], first["token"] is None) == (again["id"], False)
    assert again["token"] is None
