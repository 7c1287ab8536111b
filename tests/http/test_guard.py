"""The guard reports what it did, people let commands pass, and the record says both (P7.3)."""

import hashlib
from typing import Any

import pytest

from tallystick.ledger.checkpoint import VerifierKey, open_note
from tests.http.door import Door

COMMAND = "python train.py --lr 0.1"
PROJECT = "/home/ada/project"


def name_of(text: str) -> str:
    return f"dec_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def decision(seed: str, **fields: Any) -> dict[str, Any]:
    known = {
        "id": name_of(seed),
        "at": 1_700_000_000_000,
        "agent": "codex",
        "session": "conversation-1",
        "call": "call_1",
        "project": PROJECT,
        "cwd": PROJECT,
        "command": COMMAND,
        "verdict": "experiment",
        "reason": "python_script",
        "detail": "train.py is a script that no list knows",
        "action": "converted",
        "mode": "convert",
        "policy": "default",
        "parser": "tree-sitter-bash 0.25.1",
        "exception": None,
    }
    return {**known, **fields}


def sent(door: Door, *decisions: Any, token: str = "agent") -> Any:
    return door.post("/guard/decisions", {"decisions": list(decisions)}, token=token)


def shown(door: Door, seed: str) -> Any:
    return door.get(f"/guard/decisions/{name_of(seed)}")


def bound(door: Door, session: str) -> str:
    body = {"role": "agent", "session": session}
    return str(door.post("/tokens", body, token="admin")["token"])


def granted(door: Door, command: str = COMMAND, **fields: Any) -> Any:
    return door.post("/guard/exceptions", {"command": command, **fields}, token="admin")


def test_a_decision_is_an_entry_of_its_session_and_comes_back_whole(door: Door) -> None:
    answer = sent(door, decision("whole"))
    assert (answer["accepted"], answer["already"], answer["refused"]) == (1, 0, [])
    found = shown(door, "whole")
    assert {key: found[key] for key in ("agent", "call", "command", "cwd", "project")} == {
        "agent": "codex", "call": "call_1", "command": COMMAND, "cwd": PROJECT, "project": PROJECT,
    }  # fmt: skip
    assert (found["session_id"], found["violations"], found["recorded_by"]) == (
        "conversation-1", [], "agent",
    )  # fmt: skip
    assert (found["at"], found["seq"]) == (1_700_000_000.0, answer["receipt"]["seq"])
    entry = door.get(f"/ledger/entries?after={found['seq'] - 1}&limit=1")["entries"][0]
    assert (entry["type"], entry["stream"]) == ("guard.decided", found["id"])
    assert COMMAND not in str(entry), "a command is committed to, not written down"
    assert door.problems() == []


def test_a_decision_that_comes_twice_is_one_entry(door: Door) -> None:
    one = decision("twice")
    first = sent(door, one, one)
    assert (first["accepted"], first["already"]) == (1, 1)
    again = sent(door, {**one, "command": "something else"})
    assert (again["accepted"], again["already"], again["receipt"]) == (0, 1, None)
    assert shown(door, "twice")["command"] == COMMAND, "the first word counts"


def test_one_unusable_decision_holds_up_no_other(door: Door) -> None:
    spoiled: list[Any] = [
        decision("spoiled-1", id="dec_1"),
        decision("spoiled-2", verdict="perhaps"),
        decision("spoiled-3", policy="mine"),
        decision("spoiled-4", agent="No Agent"),
        decision("spoiled-5", parser="x=ghp_0123456789012345678901234567890123"),
        decision("spoiled-6", at=-1),
        decision("spoiled-7", at=10**30),
        decision("spoiled-8", exception="exc_"),
        {"id": name_of("spoiled-9")},
        [],
        None,
    ]
    answer = sent(door, *spoiled, decision("good-among-spoiled"))
    assert (answer["accepted"], answer["already"]) == (1, 0)
    names = [one["id"] for one in answer["refused"]]
    assert names == [*(one["id"] for one in spoiled[:9] if isinstance(one, dict)), "9", "10"]
    assert all(one["code"] and "found" in one["detail"] for one in answer["refused"])


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_between_one_and_a_hundred(door: Door, count: int) -> None:
    body = {"decisions": [decision(f"many-{number}") for number in range(count)]}
    answer = door.call("POST", "/guard/decisions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "body_invalid")


@pytest.mark.parametrize(
    ("session", "marks"),
    [
        (None, ["session_missing"]),
        ("$CODEX_THREAD_ID", ["session_placeholder"]),
        ("x" * 129, ["session_invalid"]),
        ("sk-0123456789abcdefghijklmnop", ["session_invalid"]),
    ],
)
def test_a_decision_of_no_session_is_kept_under_an_enforcing_policy(
    door: Door, session: str | None, marks: list[str]
) -> None:
    assert door.get("/policy")["session"] == "enforce"
    seed = f"lost {session}"
    assert sent(door, decision(seed, session=session))["accepted"] == 1
    found = shown(door, seed)
    assert (found["session_id"], found["violations"]) == ("unattributed", marks)


def test_a_bound_token_reports_for_its_own_session_only(door: Door) -> None:
    token = bound(door, "mine")
    answer = sent(
        door,
        decision("own", session="mine"),
        decision("none", session=None),
        decision("theirs", session="another"),
        token=token,
    )
    assert answer["accepted"] == 2
    assert [(one["id"], one["code"]) for one in answer["refused"]] == [
        (name_of("theirs"), "session_mismatch")
    ]
    assert (shown(door, "none")["session_id"], shown(door, "none")["violations"]) == ("mine", [])
    assert sent(door, decision("theirs", session="another"))["accepted"] == 1


def test_a_session_is_seen_first_by_what_its_guard_did(door: Door) -> None:
    sent(door, decision("first sight", session="new-one", policy="0" * 64))
    found = door.get("/sessions/new-one")
    assert (found["id"], found["violations"]) == ("new-one", 1)


def test_secrets_of_a_command_are_cut_out(door: Door) -> None:
    typed = "WANDB_API_KEY=0123456789abcdef0123456789abcdef python train.py"
    sent(door, decision("secret", command=typed, detail=f"ran {typed}"))
    found = shown(door, "secret")
    assert "0123456789abcdef" not in found["command"] + found["detail"]
    assert "[redacted" in found["command"]


def test_what_no_text_can_hold_is_kept_as_well_as_it_can_be(door: Door) -> None:
    answer = sent(door, decision("nul", command="a\0b", cwd="", project="", call="two words"))
    assert answer["accepted"] == 1
    found = shown(door, "nul")
    assert (found["command"], found["cwd"], found["project"]) == (
        "a\N{REPLACEMENT CHARACTER}b",
        "",
        "",
    )
    assert found["call"] is None


def test_lists_come_newest_first_in_pages_and_cut_long_commands(door: Door) -> None:
    long = "python train.py " + "x" * 5_000
    for number in range(3):
        sent(door, decision(f"page-{number}", session="paged", command=long))
    sent(door, decision("denied one", session="paged", action="denied", mode="deny"))
    page = door.get("/guard/decisions?chat_session_id=paged&limit=3&cursor=")
    assert [one["id"] for one in page["items"]] == [
        name_of("denied one"), name_of("page-2"), name_of("page-1"),
    ]  # fmt: skip
    last = door.get(f"/guard/decisions?chat_session_id=paged&cursor={page['next_cursor']}")
    assert ([one["id"] for one in last["items"]], last["next_cursor"]) == (
        [name_of("page-0")], None,
    )  # fmt: skip
    (cut,) = last["items"]
    assert (len(cut["command"]), cut["command_truncated"]) == (4_096, True)
    assert shown(door, "page-0")["command"] == long
    denied = door.get("/guard/decisions?chat_session_id=paged&action=denied")
    assert [one["id"] for one in denied] == [name_of("denied one")]
    missing = door.call("GET", "/guard/decisions/dec_ffffffffffff")
    assert (missing.status_code, missing.json()["code"]) == (404, "decision_not_found")


def test_only_people_let_a_command_pass(door: Door) -> None:
    answer = door.call("POST", "/guard/exceptions", json={"command": COMMAND})
    assert (answer.status_code, answer.json()["code"]) == (403, "people_only")


def test_an_exception_is_signed_by_the_ledgers_key(door: Door) -> None:
    made = granted(door, session="conversation-1", expires_seconds=60)
    text, keys = open_note(made["note"], [VerifierKey.parse(door.server.ledger.vkey)])
    digest = hashlib.sha256(COMMAND.encode()).hexdigest()
    expires = int(text.splitlines()[4])
    assert text.splitlines()[:4] == [
        "tallystick.exception/v1", made["id"], digest, "conversation-1",
    ]  # fmt: skip
    assert len(keys) == 1
    assert (made["command_sha256"], made["expires_at"]) == (digest, expires / 1000)
    assert made["expires_at"] - made["granted_at"] == 60
    assert (made["status"], made["receipt"]["seq"]) == ("open", made["seq"])
    listed = next(one for one in door.get("/guard/exceptions") if one["id"] == made["id"])
    assert listed["note"] == made["note"]
    anywhere = granted(door)
    assert anywhere["note"].splitlines()[3] == "*"
    assert anywhere["expires_at"] - anywhere["granted_at"] == 900


def test_the_same_key_grants_one_exception(door: Door) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {"command": "python once.py"}
    first, second = (
        door.post("/guard/exceptions", body, token="admin", headers=headers) for _ in range(2)
    )
    assert first["note"] == second["note"]
    assert first["receipt"]["seq"] == second["receipt"]["seq"]


@pytest.mark.parametrize(
    "fields",
    [
        {"expires_seconds": 0},
        {"expires_seconds": 86_401},
        {"session": "*"},
        {"session": "$SESSION"},
        {"session": "x" * 129},
        {"command": " "},
        {"commands": "x"},
    ],
)
def test_an_exception_that_could_not_be_meant_is_refused(
    door: Door, fields: dict[str, Any]
) -> None:
    answer = door.call(
        "POST", "/guard/exceptions", json={"command": COMMAND, **fields}, token="admin"
    )
    assert answer.status_code == 422, answer.text
    assert next(iter(fields)) in answer.json()["detail"]


def passed(door: Door, seed: str, exception: str | None, **fields: Any) -> list[str]:
    one = decision(seed, action="excepted", exception=exception, **fields)
    assert sent(door, one)["accepted"] == 1
    marks: list[str] = shown(door, seed)["violations"]
    return marks


def state_of(door: Door, exception: str) -> tuple[str, str | None]:
    found = next(one for one in door.get("/guard/exceptions") if one["id"] == exception)
    return found["status"], found["used_by"]


def test_an_exception_is_used_once_and_a_second_use_is_marked(door: Door) -> None:
    made = granted(door, "python used.py")
    at = int(made["expires_at"] * 1000)
    about = {"command": "python used.py", "at": at}
    assert passed(door, "use", made["id"], **about) == []
    assert state_of(door, made["id"]) == ("used", name_of("use"))
    assert passed(door, "reuse", made["id"], **about) == ["exception_reused"]
    assert state_of(door, made["id"]) == ("used", name_of("use"))


def test_an_exception_that_does_not_fit_is_marked_and_not_used_up(door: Door) -> None:
    made = granted(door, "python fits.py", session="conversation-1")
    late = int(made["expires_at"] * 1000) + 1
    fits = {"command": "python fits.py", "at": late - 1}
    assert passed(door, "other", made["id"], **{**fits, "command": "python other.py"}) == [
        "exception_mismatch"
    ]
    assert passed(door, "elsewhere", made["id"], **fits, session="another") == [
        "exception_mismatch"
    ]
    assert passed(door, "late", made["id"], **{**fits, "at": late}) == ["exception_expired"]
    assert passed(door, "unknown", "exc_ffffffffffff", **fits) == ["exception_unknown"]
    assert passed(door, "unnamed", None, **fits) == ["exception_unknown"]
    assert state_of(door, made["id"])[1] is None
    assert passed(door, "fits", made["id"], **fits) == []
    assert door.problems() == []


RULES = 'mode = "deny"\nallow = ["make plots"]\n'


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def accepted(door: Door, root: str, text: str = RULES) -> Any:
    return door.post("/policy/projects", {"root": root, "text": text}, token="admin")


def test_people_accept_the_rules_of_a_project_and_everybody_sees_them(door: Door) -> None:
    refused = door.call("POST", "/policy/projects", json={"root": "/p", "text": RULES})
    assert (refused.status_code, refused.json()["code"]) == (403, "people_only")
    made = accepted(door, "/p/")
    assert (made["root"], made["sha256"], made["mode"], made["text"]) == (
        "/p", digest_of(RULES), "deny", RULES,
    )  # fmt: skip
    assert (made["already"], made["receipt"]["seq"]) == (False, made["seq"])
    again = accepted(door, "/p")
    assert (again["already"], again["receipt"], again["id"]) == (True, None, made["id"])
    assert [one["id"] for one in door.get("/policy/projects")] == [made["id"]]
    page = door.get("/policy/projects?limit=1&cursor=")
    assert (len(page["items"]), page["next_cursor"]) == (1, None)


@pytest.mark.parametrize(
    ("root", "text", "code"),
    [
        ("p", RULES, "root_relative"),
        ("/p", "mode = ", "policy_invalid"),
        ("/p", "mode = 'ask'", "policy_invalid"),
        ("/p", "modes = 'deny'", "policy_invalid"),
        ("/p", "allow = ['x --token abcdefghijkl']", "policy_secret"),
    ],
)
def test_rules_that_nobody_can_follow_are_refused(
    door: Door, root: str, text: str, code: str
) -> None:
    body = {"root": root, "text": text}
    answer = door.call("POST", "/policy/projects", json=body, token="admin")
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_a_decision_under_rules_that_nobody_accepted_is_marked(door: Door) -> None:
    root, old, new = "/rules", "mode = 'deny'\n", "mode = 'warn'\n"

    def marks(seed: str, policy: str, **fields: Any) -> Any:
        sent(door, decision(seed, project=root, policy=policy, **fields))
        return shown(door, seed)["violations"]

    assert marks("before", digest_of(old)) == ["policy_unaccepted"]
    accepted(door, root, old)
    assert marks("default", "default") == []
    assert marks("accepted", digest_of(old)) == []
    assert marks("other project", digest_of(old), cwd=root) == []
    later = accepted(door, root, new)["accepted_at"] * 1000
    assert marks("spooled before", digest_of(old), at=int(later)) == []
    assert marks("outdated", digest_of(old), at=int(later) + 1) == ["policy_unaccepted"]
    sent(door, decision("elsewhere ruled", project="/another", policy=digest_of(new)))
    assert shown(door, "elsewhere ruled")["violations"] == ["policy_unaccepted"]
    assert door.problems() == []
