"""Health, pages, texts, policy, tokens, cluster, ledger: what is asked once in a while."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import skills_ref
from pydantic import TypeAdapter

from tallystick.api.app import ENDPOINTS
from tallystick.api.routes import not_offered
from tallystick.api.skills import PROTOCOL, load_skills, published_texts
from tallystick.ledger.merkle import leaf_hash, root_of, verify_consistency, verify_inclusion
from tests.unit.api.in_process import Api

PAGES = ("/", "/docs")


def test_health_tells_who_answers_and_how_long_the_ledger_is(api: Api) -> None:
    before = api.get("/health", token=None)
    assert (before["status"], before["service"]) == ("ok", "tallystick")
    assert before["workdir"] == str(api.workdir)
    api.sweep()
    assert api.get("/health")["ledger_size"] > before["ledger_size"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_no_script_and_load_nothing_from_elsewhere(api: Api, path: str) -> None:
    answer = api.call("GET", path, token=None)
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon[a-z]+=|\bstyle=|https?://", answer.text)
    for link in re.findall(r'(?:href|src)="([^"]+)"', answer.text):
        assert api.call("GET", link, token=None).status_code == 200, link


def test_the_start_page_is_json_for_programs(api: Api) -> None:
    headers = {"Accept": "application/json"}
    assert api.get("/", token=None, headers=headers)["service"] == "tallystick"


def test_the_documentation_hands_out_nothing_but_its_own_files(api: Api) -> None:
    for name in ("index.html", "..%2f__init__.py", "%2e%2e", "swagger-ui.js.map"):
        assert api.call("GET", f"/docs/{name}", token=None).status_code == 404


def test_every_answer_forbids_guessing_its_type(api: Api) -> None:
    for path in ("/health", "/runs", "/nope", "/docs/init.js"):
        assert api.call("GET", path).headers["x-content-type-options"] == "nosniff"


def test_unknown_paths_and_methods_are_problems(api: Api) -> None:
    unknown = api.call("GET", "/no/such/path", token=None)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "path_unknown")
    wrong = api.call("DELETE", "/runs/x", token=None)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, PUT")


def test_a_head_request_is_a_get_without_a_body(api: Api) -> None:
    answer = api.call("HEAD", "/health", token=None)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path, _ in not_offered.TABLE]
)
def test_a_call_that_is_not_offered_names_another(api: Api, method: str, path: str) -> None:
    answer = api.call(method, path.replace("*", "").replace("{", "").replace("}", ""))
    problem, offered = answer.json(), not_offered.OFFERED.get(path)
    assert (answer.status_code, problem["code"]) == (405 if offered else 404, "not_offered")
    assert answer.headers.get("allow") == offered
    assert len(problem["next_actions"]) == 1


def test_a_path_that_is_offered_with_another_method_is_not_missing() -> None:
    known = {item.path: item.method for item in ENDPOINTS if not item.hidden}
    missing = {path for _, path, _ in not_offered.TABLE}
    assert {path: known[path] for path in missing & set(known)} == not_offered.OFFERED


def test_calls_named_by_refusals_exist() -> None:
    known = {(item.method, shape(item.path)) for item in ENDPOINTS if not item.hidden}
    said = " ".join(instead for _, _, instead in not_offered.TABLE)
    for method, path in re.findall(r"\b(GET|POST|PUT) (/[^\s?,;)]*)", said):
        assert (method, shape(path)) in known, f"{method} {path}"


def shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_protocol_texts_are_served_as_published(api: Api) -> None:
    assert set(load_skills()) == {
        "tallystick-protocol",
        "wild_v2_sweep_run_audit_protocol",
        "wild_v2_execution_ops_protocol",
        "wild_v2_gpu_discovery_parallel_scheduling",
    }
    for text in published_texts():
        key, _, path = text.id.partition("/")
        content = api.get(f"/prompt-skills/{key}/files/{path or 'SKILL.md'}", token=None)["content"]
        assert hashlib.sha256(content.encode()).hexdigest() == text.sha256
        sizes = {item["path"]: item["size"] for item in files_of(api, key)}
        assert sizes[path or "SKILL.md"] == len(content.encode())
        stream = quote(f"protocol:{text.id}", safe="")
        entries = api.get(f"/ledger/entries?stream={stream}")["entries"]
        assert entries[-1]["data"]["sha256"] == text.sha256
        if not path:
            assert api.get(f"/prompt-skills/{key}", token=None)["sha256"] == text.sha256


def files_of(api: Api, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/prompt-skills/{key}/files", token=None)
    return found


def test_the_skill_keeps_the_rules_of_agent_skills(tmp_path: Path) -> None:
    folder = tmp_path / PROTOCOL
    for path, content in load_skills()[PROTOCOL].files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    assert skills_ref.validate(folder) == []
    first_page = load_skills()[PROTOCOL].files["SKILL.md"]
    assert len(first_page) <= 4 * 1_500  # about 1,500 tokens
    for link in re.findall(r"\]\(([^)]+)\)", first_page):
        assert (folder / link).is_file()


def test_protocol_texts_name_only_calls_and_codes_that_exist() -> None:
    known = {(item.method, shape(item.path)) for item in ENDPOINTS}
    for skill in load_skills().values():
        for method, path in re.findall(r"`(GET|POST|PUT) (/[^\s?`,;)]*)", skill.template):
            named = re.sub(r"/prompt-skills/[a-z0-9_-]+", "/prompt-skills/{}", path)
            assert (method, shape(named)) in known, f"{skill.id}: {method} {path}"


def test_texts_are_searched_by_every_word(api: Api) -> None:
    found = api.get("/prompt-skills/search?q=compacted%20refused", token=None)
    assert [skill["id"] for skill in found] == ["tallystick-protocol"]
    assert len(api.get("/prompt-skills/search", token=None)) == len(load_skills())
    assert api.get("/prompt-skills/search?q=zebra", token=None) == []


def test_no_path_leads_out_of_a_text(api: Api) -> None:
    for path in ("..%2fapp.py", "../../app.py", "%2fetc%2fpasswd", "SKILL.md%00"):
        url = f"/prompt-skills/tallystick-protocol/files/{path}"
        assert api.call("GET", url, token=None).status_code == 404


def test_llms_txt_names_every_text(api: Api) -> None:
    text = api.call("GET", "/llms.txt", token=None).text
    assert all(f"/prompt-skills/{key}" in text for key in load_skills())


def test_only_people_set_the_policy_and_it_holds_at_once(fresh_api: Api) -> None:
    api = fresh_api
    body = {"sweep": "warn", "session": "warn"}
    denied = api.call("PUT", "/policy", json=body)
    assert (denied.status_code, denied.json()["code"]) == (403, "people_only")
    made = api.post("/tokens", {"role": "researcher"}, token="admin")
    answer = api.call("PUT", "/policy", json=body, token=made["token"]).json()
    assert (answer["session"], answer["sweep"]) == ("warn", "warn")
    assert answer["receipt"]["seq"] > 0
    run = api.post("/runs", {"name": "r", "command": "true"})
    assert (run["compliant"], run["chat_session_id"]) == (False, "unattributed")
    assert sorted(run["violations"]) == ["session_missing", "sweep_missing"]
    assert {item["code"] for item in run["warnings"]} == set(run["violations"])
    assert api.get("/policy")["sweep"] == "warn"


@pytest.mark.parametrize("body", [{"session": "banana"}, {"sesion": "warn"}, [], None])
def test_a_policy_that_is_none_is_refused(api: Api, body: Any) -> None:
    assert api.call("PUT", "/policy", json=body, token="admin").status_code == 422


def test_a_tokens_secret_is_shown_once(api: Api) -> None:
    headers = {"Idempotency-Key": "token-1"}
    made, again = (
        api.post("/tokens", {"role": "auditor"}, token="admin", headers=headers) for _ in range(2)
    )
    assert (again["id"], again["token"]) == (made["id"], None)
    assert made["token"].startswith("tally_auditor_")
    for path in ("/tokens", "/ledger/entries?limit=1000"):
        assert made["token"] not in api.call("GET", path, token="admin").text


@pytest.mark.parametrize(
    "body",
    [
        {"role": "supervisor"},
        {"role": "run"},
        {"role": "system"},
        {"role": "agent", "expires_seconds": 0},
        {"role": "agent", "expires_seconds": 10**12},
        {"role": "agent", "session": "$CHAT_SESSION_ID"},
        {"role": "agent", "session": ""},
        {"role": "agent", "token": "mine"},
        {},
    ],
)
def test_a_token_that_cannot_be_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert api.call("POST", "/tokens", json=body, token="admin").status_code == 422


def test_the_cluster_is_what_was_found(api: Api) -> None:
    found = api.get("/cluster")
    gpus = len(api.server.backend.capacity().devices)
    assert found["cluster"]["type"] == ("local_gpu" if gpus else "cpu_only")
    assert found["cluster"]["gpu_count"] == gpus
    assert set(found["run_summary"]) == {
        "total", "running", "launching", "queued", "ready", "failed", "finished",
    }  # fmt: skip
    detected = api.post("/cluster/detect", {"preferred_type": "slurm"})
    assert detected["cluster"]["type"] == found["cluster"]["type"]
    assert detected["warnings"][0]["code"] == "preferred_type_ignored"
    assert api.call("POST", "/cluster/detect").status_code == 200


def test_system_health_counts_under_the_old_names(fresh_api: Api) -> None:
    api = fresh_api
    run = api.register()["id"]
    api.register()
    old = {
        "running": 0, "queued": 2, "completed": 0, "failed": 0, "total": 2, "max_concurrent": 2,
        "launching": 0, "ready": 2, "waiting_in_queue": 0, "stopped": 0, "free": 2,
    }  # fmt: skip
    health = api.get("/wild/v2/system-health")
    assert {key: health[key] for key in old} == old
    api.post(f"/runs/{run}/stop")
    assert api.get("/wild/v2/system-health")["stopped"] == 1


def test_a_session_counts_what_it_did(api: Api) -> None:
    api.register(chat_session_id="a/b ü")
    found = api.get("/sessions/a%2Fb%20%C3%BC")
    assert (found["id"], found["runs"]["ready"]) == ("a/b ü", 1)
    assert found["id"] in {session["id"] for session in api.get("/sessions?limit=1000")}
    assert api.call("GET", "/sessions/none").json()["code"] == "session_not_found"


def test_proofs_convince_somebody_who_has_only_the_hashes(api: Api) -> None:
    api.register()
    page = api.get("/ledger/entries?limit=1000")
    note = api.call("GET", "/ledger/checkpoint").text
    size = int(note.split("\n")[1])
    root = base64.b64decode(note.split("\n")[2])
    for seq in (0, size // 2, size - 1):
        proof = api.get(f"/ledger/proof/{seq}?size={size}")
        hashes = [base64.b64decode(item) for item in proof["hashes"]]
        leaf = bytes.fromhex(proof["leaf_hash"])
        verify_inclusion(leaf, hashes, index=seq, size=size, root=root)
    old = min(size - 2, 255)  # in the first tile, however many tests were here before
    tile = api.call("GET", f"/ledger/tile/0/000.p/{old}").content
    leaves = [tile[at : at + 32] for at in range(0, len(tile), 32)]
    answer = api.get(f"/ledger/consistency?old={old}&new={size}")
    hashes = [base64.b64decode(item) for item in answer["hashes"]]
    verify_consistency(hashes, old_size=old, new_size=size, old_root=root_of(leaves), new_root=root)
    assert len(page["entries"]) >= old


def test_an_entry_bundle_holds_the_bytes_that_were_hashed(api: Api) -> None:
    bundle = api.call("GET", "/ledger/tile/entries/000.p/2").content
    tile = api.call("GET", "/ledger/tile/0/000.p/2").content
    length = int.from_bytes(bundle[:2], "big")
    assert leaf_hash(bundle[2 : 2 + length]) == tile[:32]


@pytest.mark.parametrize(
    "path", ["x", "0/0", "7/000", "0/000.p/0", "0/000.p/256", "9/000.p/1", "0/x001/000.p/1", "0/.."]
)
def test_a_tile_that_is_not_there_is_not_found(api: Api, path: str) -> None:
    assert api.call("GET", f"/ledger/tile/{path}").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ledger/proof/999999", 404),
        ("/ledger/proof/x", 404),
        ("/ledger/proof/0?size=999999", 422),
        ("/ledger/proof/3?size=2", 422),
        ("/ledger/consistency?old=1", 422),
        ("/ledger/consistency?old=2&new=1", 422),
        ("/ledger/consistency?old=1&new=999999", 422),
    ],
)
def test_a_proof_that_cannot_be_is_refused(api: Api, path: str, status: int) -> None:
    assert api.call("GET", path).status_code == status


READABLE = [item for item in ENDPOINTS if item.method == "GET" and item.answer and not item.hidden]


@pytest.mark.parametrize("endpoint", READABLE, ids=[item.path for item in READABLE])
def test_answers_are_what_the_document_says(api: Api, endpoint: Any) -> None:
    run = api.register(params={"lr": 0.5})
    asked = {"message": "m", "choices": ["stop"]}
    alert = api.post(f"/runs/{run['id']}/alerts", asked)["alert_id"]
    decision = "dec_0123456789ab"
    told = {
        "id": decision, "at": 1, "agent": "codex", "project": "/p", "cwd": "/p", "command": "true",
        "verdict": "unknown", "reason": "unreadable", "action": "warned", "mode": "warn",
        "policy": "default", "parser": "none",
    }  # fmt: skip
    api.post("/guard/decisions", {"decisions": [told]})
    values = {
        "alert": alert, "decision": decision, "scope": run["sweep_id"],
        "run": run["id"], "sweep": run["sweep_id"], "session": run["chat_session_id"],
        "skill": "tallystick-protocol", "seq": "1", "path*": "SKILL.md",
    }  # fmt: skip
    path = endpoint.path
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    query = "?old=1&new=2" if path.endswith("consistency") else ""
    answer = api.call("GET", path + query, token="admin")
    assert answer.status_code == 200, answer.text
    TypeAdapter(endpoint.answer).validate_json(answer.content)


def test_the_document_names_every_offered_call(api: Api) -> None:
    document = api.get("/openapi.json", token=None)
    named = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert named == {
        (item.method, item.path.replace("*}", "}")) for item in ENDPOINTS if not item.hidden
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], path
            assert operation["responses"]["200"], path
            assert bool(operation["security"]) == (operation["x-permission"] != "open"), path
            assert method == "get" or operation["security"], path


def test_every_reference_of_the_document_leads_somewhere(api: Api) -> None:
    text = api.call("GET", "/openapi.json", token=None).text
    known = api.get("/openapi.json")["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(known)
    assert '"null"' not in text, "OpenAPI 3.0 says nullable"
    assert known["CreateRun"]["properties"]["sweep_id"]["description"]
