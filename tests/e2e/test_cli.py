"""The command line against a real server, as a person and as an agent use it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tallystick.testing.server import ServerProcess


def tally(
    server: ServerProcess, *words: str, session: str | None = "cli-session", **more: str
) -> "subprocess.CompletedProcess[str]":
    """Run `tally` in the workspace, finding the server through the data directory."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TALLY_")}
    environment |= {"TALLY_DATA_DIR": str(server.data_dir), "NO_COLOR": "1", **more}
    if session is not None:
        environment["TALLY_CHAT_SESSION_ID"] = session
    return subprocess.run(
        [sys.executable, "-m", "tallystick", *words],
        cwd=server.workspace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def as_json(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_exec_is_the_command_with_a_run_around_it(server: ServerProcess) -> None:
    done = tally(server, "exec", "--", "printf 'a\\r\\nb'; echo oops >&2; exit 5")
    assert done.returncode == 5
    assert done.stdout.encode() == b"a\nb" + b"oops\n" or "oops" in done.stdout
    assert "run_" in done.stderr


def test_exec_ends_as_a_shell_would_when_a_signal_ended_the_command(server: ServerProcess) -> None:
    assert tally(server, "exec", "--", "kill -TERM $$").returncode == 128 + 15


def test_words_after_the_dashes_reach_the_command_one_by_one(server: ServerProcess) -> None:
    code = "import sys; print(sys.argv[1:])"
    done = tally(server, "exec", "--", sys.executable, "-c", code, "a b", "$HOME", "it's")
    assert done.stdout.strip() == repr(["a b", "$HOME", "it's"])


def test_exec_shows_the_output_of_every_attempt_and_ends_like_the_last(
    server: ServerProcess,
) -> None:
    flag = server.workspace / "tried"
    again = f"if [ -e {flag} ]; then echo two; exit 5; fi; touch {flag}; echo one; exit 3"
    done = tally(
        server, "exec", "--retries", "1", "--retry-delay", "0.1", "--", "bash", "-c", again
    )
    assert done.stdout == "one\ntwo\n"
    assert done.returncode == 5
    run = tally(server, "run", "list", "--json")
    newest = as_json(run)[0]["id"]
    listed = as_json(tally(server, "attempt", "list", newest, "--json"))
    assert [(one["number"], one["exit_code"]) for one in listed] == [(2, 5), (1, 3)]
    first = tally(server, "run", "logs", "--attempt", "1", newest)
    assert first.stdout == "one\n"
    wrong = tally(server, "exec", "--retry-on", "lost", "--", "true")
    assert wrong.returncode == 2
    assert "--retry-on: expected failed, timed_out, out_of_memory; found lost" in wrong.stderr


def test_the_queue_says_who_is_next_and_why_each_run_waits(server: ServerProcess) -> None:
    sweep = server.sweep(name="a queue")
    blocking = server.run(sweep, "sleep 600")["id"]
    waiting = server.run(sweep, "true", name="the next", depends_on=[blocking])["id"]
    try:
        shown = tally(server, "queue")
        assert shown.returncode == 0
        assert "the next" in shown.stdout
        assert f"waits for {blocking} to finish" in " ".join(shown.stdout.split())
        (entry,) = [
            one
            for one in as_json(tally(server, "queue", "--json"))["items"]
            if one["id"] == waiting
        ]
        assert entry["pending_reason"] == f"waits for {blocking} to finish"
        for command in (("run", "show", waiting), ("run", "list", "--status", "queued")):
            told = tally(server, *command, COLUMNS="300").stdout
            assert f"waits for {blocking} to finish" in told, command
    finally:
        server.post(f"/runs/{blocking}/stop", {})
    assert server.ended(waiting)["status"] == "stopped"


def test_why_a_run_waits_is_told_wherever_it_is_shown(server: ServerProcess) -> None:
    sweep = server.sweep(name="waiting")
    blocking = server.run(sweep, "sleep 600")["id"]
    try:
        made = tally(
            server, "run", "create", "--sweep", sweep, "--depends-on", blocking, "--", "true"
        )
        waiting = made.stdout.strip()
        reason = f"waits for {blocking} to finish"
        assert reason in made.stderr
        assert reason in tally(server, "run", "show", waiting).stdout
        assert reason in tally(server, "run", "list", "--sweep", sweep).stdout
        ready = tally(server, "run", "create", "--sweep", sweep, "--no-start", "--", "true")
        assert "not started yet" in tally(server, "run", "show", ready.stdout.strip()).stdout
    finally:
        server.post(f"/runs/{blocking}/stop", {})
    draft = tally(server, "sweep", "create", "a draft", "-c", "true", "-p", "x=1,2", "--draft")
    for words in (["show", draft.stdout.strip()], ["list"]):
        assert "a draft: POST /sweeps/" in tally(server, "sweep", *words).stdout


def test_a_ready_run_is_edited_moved_and_repeated_with_other_resources(
    server: ServerProcess,
) -> None:
    first, second = server.sweep(name="first"), server.sweep(name="second")
    made = tally(server, "run", "create", "--sweep", first, "--no-start", "--", "false")
    run = made.stdout.strip()
    words = ("--name", "better", "--command", "true", "--timeout", "60", "--retries", "2")
    edited = as_json(tally(server, "run", "edit", run, *words, "--json"))
    assert (edited["name"], edited["command"]) == ("better", "true")
    assert (edited["timeout_seconds"], edited["retries"]) == (60, 2)
    (moved,) = as_json(tally(server, "run", "move", run, "--sweep", second, "--json"))
    assert moved["sweep_id"] == second
    (again,) = as_json(tally(server, "run", "rerun", run, "--retries", "1", "--no-start", "--json"))
    assert (again["timeout_seconds"], again["retries"]) == (60, 1)
    assert tally(server, "run", "edit", run).returncode == 2


def test_a_draft_is_edited_with_the_options_that_declare_one(server: ServerProcess) -> None:
    made = tally(server, "sweep", "create", "lr", "-c", "true", "-p", "lr=1,2", "--draft")
    sweep = made.stdout.strip()
    words = ("--seeds", "3", "--placement", "environment", "--retries", "1", "--json")
    edited = as_json(tally(server, "sweep", "edit", sweep, *words))
    assert (edited["planned"], edited["plan"]["placement"]) == (6, "environment")
    assert edited["parameters"] == {"lr": [1, 2]}
    (server.workspace / "points.jsonl").write_text('{"lr": 5}\n{"lr": 6}\n')
    edited = as_json(tally(server, "sweep", "edit", sweep, "--points", "points.jsonl", "--json"))
    assert edited["plan"]["strategy"] == "list"


def test_an_alert_is_raised_and_heard_once(server: ServerProcess) -> None:
    session = {"session": "hearing"}
    made = tally(server, "run", "create", "--no-start", "--", "true", **session)
    run = made.stdout.strip()
    words = ("--severity", "critical", "--choice", "give up=stop", "--choice", "look later")
    raised = tally(server, "alert", "raise", run, "the loss is NaN", *words, "--json", **session)
    alert = as_json(raised)
    assert (alert["severity"], alert["choices"]) == ("critical", ["give up", "look later"])
    (heard,) = as_json(tally(server, "session", "events", "--json", **session))
    assert heard["alert_id"] == alert["id"]
    told = tally(server, "session", "events", "--resolve", **session)
    assert alert["id"] in told.stdout
    assert "1 heard" in told.stderr
    assert as_json(tally(server, "session", "events", "hearing", "--json")) == []
    answered = as_json(tally(server, "alert", "respond", alert["id"], "give up", "--json"))
    assert answered["alert"]["action"] == "stop"


def test_runs_without_ids_share_the_sessions_scratch_sweep(server: ServerProcess) -> None:
    first = as_json(tally(server, "run", "create", "--json", "--", "true", session="scratching"))
    second = as_json(tally(server, "run", "create", "--json", "--", "true", session="scratching"))
    assert first["sweep_id"] == second["sweep_id"]
    assert first["chat_session_id"] == "scratching"
    sweep = as_json(tally(server, "sweep", "show", first["sweep_id"], "--json"))
    assert sweep["name"] == "scratch"
    waited = tally(server, "run", "wait", first["id"], second["id"])
    assert waited.returncode == 0, waited.stderr


def test_a_sweep_by_hand(server: ServerProcess) -> None:
    made = as_json(
        tally(server, "sweep", "create", "--name", "by hand", "--goal", "to see", "--json")
    )
    for i in range(3):
        done = tally(server, "run", "create", "--sweep", made["id"], "--", f"exit {i % 2}")
        assert done.returncode == 0, done.stderr
    waited = tally(server, "sweep", "wait", made["id"])
    assert waited.returncode == 1  # not everything succeeded
    listed = tally(server, "run", "list", "--sweep", made["id"])
    assert listed.stdout.count("run_") == 3
    rows = as_json(tally(server, "run", "list", "--sweep", made["id"], "--json"))
    assert sorted(row["exit_code"] for row in rows) == [0, 0, 1]
    (again,) = as_json(tally(server, "run", "rerun", rows[0]["id"], "--json"))
    assert again["parent_run_id"] == rows[0]["id"]


def test_the_callers_environment_goes_along_and_tokens_do_not(server: ServerProcess) -> None:
    done = tally(
        server,
        *["exec", "--env", "PICKED", "--env", "SET=here", "--", "env"],
        CONDA_PREFIX="/opt/conda",
        PICKED="yes",
        NOT_PICKED="no",
        TALLY_TOKEN=server.token("agent"),
    )
    lines = done.stdout.splitlines()
    assert "CONDA_PREFIX=/opt/conda" in lines
    assert "PICKED=yes" in lines
    assert "SET=here" in lines
    assert "NOT_PICKED=no" not in lines
    assert server.token("agent") not in done.stdout


def test_an_agent_is_told_from_a_person_by_its_environment(server: ServerProcess) -> None:
    made = as_json(
        tally(
            server,
            *["run", "create", "--no-start", "--json", "--", "true"],
            session=None,
            CLAUDE_CODE_SESSION_ID="5f0c-agent",
        )
    )
    assert (made["chat_session_id"], made["created_by"]) == ("5f0c-agent", "agent")
    made = as_json(
        tally(server, "run", "create", "--no-start", "--json", "--", "true", session=None)
    )
    assert made["created_by"] == "administrator"
    assert made["chat_session_id"].startswith("shell:")


def test_tokens_are_made_listed_and_revoked(server: ServerProcess) -> None:
    made = as_json(
        tally(
            server,
            *["token", "create", "--role", "agent", "--session", "bound", "--expires", "2h"],
            "--json",
            session=None,
        )
    )
    secret = made["token"]
    answer = server.call("POST", "/sweeps/wild", {"name": "x"}, token=secret)
    assert (answer.status, answer.body["chat_session_id"]) == (200, "bound")
    other = server.call("POST", "/sweeps/wild", {"chat_session_id": "another"}, token=secret)
    assert (other.status, other.body["code"]) == (403, "session_mismatch")
    assert secret not in tally(server, "token", "list", session=None).stdout
    assert tally(server, "token", "revoke", made["id"], session=None).returncode == 0
    assert server.call("GET", "/runs", token=secret).status == 401


def test_only_people_set_the_policy_and_it_is_kept(server: ServerProcess) -> None:
    refused = tally(server, "policy", "set", "--sweep", "warn", CODEX_THREAD_ID="t-1", session=None)
    assert refused.returncode == 1, refused.stdout
    answer = server.call("PUT", "/policy", {"sweep": "warn"})
    assert (answer.status, answer.body["code"]) == (403, "people_only")
    assert server.call("PUT", "/policy", {"sweep": "warn"}, token="admin").status == 200
    body = {"name": "loose", "command": "true", "chat_session_id": "chat-1"}
    loose = server.post("/runs", body)
    assert (loose["compliant"], loose["violations"]) == (False, ["sweep_missing"])
    assert server.call("PUT", "/policy", {"sweep": "enforce"}, token="admin").status == 200
    answer = server.call("POST", "/runs", body)
    assert (answer.status, answer.body["code"]) == (422, "sweep_required")
    assert any("POST /sweeps/wild" in call for call in answer.body["next_actions"])


def test_a_refusal_is_told_with_the_next_call_and_its_exit_code(server: ServerProcess) -> None:
    missing = tally(server, "run", "show", "run_000000000000")
    assert missing.returncode == 1
    assert "GET /runs" in missing.stderr or "tally run list" in missing.stderr
    assert "Traceback" not in missing.stderr
    assert tally(server, "run", "show").returncode == 2
    nobody = tally(server, "run", "list", TALLY_SERVER_URL="http://127.0.0.1:9")
    assert nobody.returncode == 3
    assert "tally up" in nobody.stderr


def test_an_export_is_verified_by_a_stranger_with_nothing_but_python(
    server: ServerProcess, tmp_path: Path
) -> None:
    server.ended(server.run(server.sweep(), "true")["id"])
    out = tmp_path / "export"
    done = tally(server, "ledger", "export", str(out))
    assert done.returncode == 0, done.stderr
    vkey = server.get("/ledger/vkey").strip()

    def verify() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-I", "-S", str(out / "verify.py"), str(out), "--vkey", vkey],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )

    assert verify().returncode == 0, verify().stdout + verify().stderr
    assert tally(server, "ledger", "verify", str(out)).returncode == 0
    (bundle,) = (out / "tile" / "entries").iterdir()
    files = [path for path in (out / "tile" / "entries").rglob("*") if path.is_file()]
    content = bytearray(files[0].read_bytes())
    content[len(content) // 2] ^= 1
    files[0].write_bytes(content)
    spoiled = verify()
    assert spoiled.returncode == 4
    assert "entry" in spoiled.stdout + spoiled.stderr
    assert tally(server, "ledger", "verify", str(out)).returncode == 4
    assert bundle.exists()


def test_verify_names_the_row_that_somebody_changed(server: ServerProcess, tmp_path: Path) -> None:
    import shutil
    import sqlite3

    run = server.ended(server.run(server.sweep(), "exit 3")["id"])
    copy = tmp_path / "data"
    copy.mkdir(mode=0o700)
    source = sqlite3.connect(server.data_dir / "tally.db")
    target = sqlite3.connect(copy / "tally.db")
    source.backup(target)
    source.close()
    shutil.copy(server.data_dir / "ledger.key", copy)
    target.execute("UPDATE runs SET exit_code = 0 WHERE id = ?", [run["id"]])
    target.commit()
    target.close()
    done = tally(server, "ledger", "verify", "--data-dir", str(copy))
    assert done.returncode == 4
    assert run["id"] in done.stdout + done.stderr
    assert "exit_code" in done.stdout + done.stderr


def test_a_receipt_proves_that_the_run_is_in_the_ledger(server: ServerProcess) -> None:
    import base64

    from tallystick.ledger.checkpoint import VerifierKey, open_checkpoint
    from tallystick.ledger.merkle import verify_consistency, verify_inclusion

    run = server.run(server.sweep(), "true")
    receipt = run["receipt"]
    key = VerifierKey.parse(server.get("/ledger/vkey").strip())
    old = open_checkpoint(receipt["checkpoint"], key)
    server.ended(run["id"])
    proof = server.get(f"/ledger/proof/{receipt['seq']}?size={old.size}")
    verify_inclusion(
        bytes.fromhex(receipt["leaf_hash"]),
        [base64.b64decode(item) for item in proof["hashes"]],
        index=receipt["seq"],
        size=old.size,
        root=old.root,
    )
    new = open_checkpoint(server.get("/ledger/checkpoint"), key)
    steps = server.get(f"/ledger/consistency?old={old.size}&new={new.size}")
    verify_consistency(
        [base64.b64decode(item) for item in steps["hashes"]],
        old_size=old.size,
        new_size=new.size,
        old_root=old.root,
        new_root=new.root,
    )


def test_the_same_idempotency_key_makes_one_run(server: ServerProcess) -> None:
    sweep = server.sweep()
    body = {"name": "x", "command": "true", "sweep_id": sweep, "chat_session_id": "chat-1"}
    headers = {"Idempotency-Key": "once"}
    first = server.post("/runs", body, headers=headers)
    again = server.post("/runs", body, headers=headers)
    assert first["id"] == again["id"]
    assert first["receipt"]["seq"] == again["receipt"]["seq"]
    other = server.call("POST", "/runs", {**body, "command": "false"}, headers=headers)
    assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")


def test_events_stream_from_any_position(server: ServerProcess) -> None:
    import urllib.request

    run = server.run(server.sweep(), "true")
    server.ended(run["id"])
    request = urllib.request.Request(
        f"{server.url}/events?after=-1", headers={"X-Auth-Token": server.token("agent")}
    )
    seen: list[tuple[int, str]] = []
    with urllib.request.urlopen(request, timeout=20) as stream:
        event = {}
        for raw in stream:
            line = raw.decode().rstrip("\n")
            if line.startswith(("id:", "event:")):
                name, _, value = line.partition(":")
                event[name] = value.strip()
            elif not line and event:
                seen.append((int(event["id"]), event["event"]))
                event = {}
                if seen[-1][1] == "run.ended" and seen[-1][0] >= run["receipt"]["seq"]:
                    break
    assert [seq for seq, _ in seen] == list(range(len(seen)))
    assert seen[0] == (0, "ledger.opened")
