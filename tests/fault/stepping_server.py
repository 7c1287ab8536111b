"""One server whose n-th step goes wrong, and the next one over what it left; many times over.

    python tests/fault/stepping_server.py DIRECTORY FORM FIRST LAST STRIDE

For each number a child serves and is its own client (so the client's sends and receives are among
the steps) until all is done or it is killed; a second child starts on the same data directory,
waits until nothing moves any more, and checks what was promised. One JSON line for each number on
standard output. FORM `none` counts: one line, the names of the steps.
"""

import contextlib
import http.client
import json
import os
import sys
import traceback
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick import server
from tallystick.config import Settings
from tallystick.control.data_dir import open_tables
from tallystick.db.database import Database
from tallystick.db.open import open_database
from tallystick.ledger.ledger import Ledger
from tallystick.testing.faults import Fault, FaultyDatabase
from tallystick.testing.server import Answer, ServerProcess, eventually
from tallystick.testing.steps import Form, Steps
from tests.fault.house import check_ledger, house
from tests.fault.restart import executions, traced

TRIES = 8
SECRET = "sk-ant-api03-" + "q7" * 45
LONG = "sleep 60"
ENDED = {"finished", "failed", "stopped"}
OF_COMMITS = {Form.NOT_APPLIED: Fault.NOT_APPLIED, Form.APPLIED: Fault.APPLIED}


class Client:
    """Repeats what failed under the same key, and writes down what was acknowledged."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._acknowledged = acknowledged_file(server.data_dir.parent)
        self._keys = 0

    def send(self, method: str, path: str, body: Any, *, token: str = "agent") -> dict[str, Any]:
        """One request until it succeeds; its body."""
        self._keys += 1
        headers = {"Idempotency-Key": f"key-{self._keys}"}
        for _ in range(TRIES):
            answer = self._try(method, path, body, token=token, headers=headers)
            if answer is not None and answer.status == 200:
                self._note(f"{method} {path}", answer.body)
                found: dict[str, Any] = answer.body
                return found
            assert answer is None or answer.status >= 500, answer
        raise AssertionError(f"{method} {path} failed {TRIES} times")

    def _try(self, method: str, path: str, body: Any, **more: Any) -> Answer | None:
        try:
            return self._server.call(method, path, body, **more)
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
            return None

    def _note(self, call: str, body: Any) -> None:
        """Past the counted functions: what was acknowledged is not the server's to write."""
        line = json.dumps({"call": call, "id": body.get("id"), "receipt": body.get("receipt")})
        with self._acknowledged.open("a") as file:
            file.write(line + "\n")


def acknowledged_file(directory: Path) -> Path:
    return directory / "acknowledged.jsonl"


def use(server: ServerProcess) -> None:
    """Everything that writes: creates, starts, edits, a stop, metrics, tokens, the policy."""
    client, work = Client(server), server.workspace
    session = {"chat_session_id": "chat-1"}
    sweep = client.send("POST", "/sweeps/wild", {"name": "s", "goal": "g", **session})["id"]
    known = {"name": "r", "sweep_id": sweep, **session}
    first = client.send(
        "POST",
        "/runs",
        {
            **known,
            "command": traced(work, "first", 0, 3),
            "auto_start": True,
            "env": {"API_KEY": SECRET},
        },
    )["id"]
    second = client.send("POST", "/runs", {**known, "command": traced(work, "second", 0, 0)})["id"]
    third = client.send("POST", "/runs", {**known, "command": LONG, "auto_start": True})["id"]
    client.send("POST", f"/runs/{second}/start", {})
    seen(server, first, lambda run: run["attempt"] is not None)
    client.send("POST", f"/runs/{first}/metrics", {"rows": [{"step": 1, "loss": 2}]})
    client.send("POST", f"/runs/{third}/stop", {})
    token = client.send("POST", "/tokens", {"role": "auditor"}, token="admin")["id"]
    client.send("POST", f"/tokens/{token}/revoke", {}, token="admin")
    client.send("PUT", "/policy", {"session": "warn"}, token="admin")
    for run in (first, second, third):
        ended(server, run)


def ended(server: ServerProcess, run: str) -> dict[str, Any]:
    """The run at its end, whatever a request for it meets."""
    return seen(server, run, lambda found: found["status"] in ENDED)


def seen(
    server: ServerProcess, run: str, there: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The run once it is so, whatever a request for it meets."""

    def look() -> dict[str, Any] | None:
        with contextlib.suppress(urllib.error.URLError, http.client.HTTPException, OSError):
            answer = server.call("GET", f"/runs/{run}?wait=2")
            if answer.status == 200 and there(answer.body):
                found: dict[str, Any] = answer.body
                return found
        return None

    return eventually(look, within_seconds=40)


def serve(directory: Path, form: Form, number: int) -> None:
    """The first child: everything above, with one fault."""
    note = directory / "note"
    steps = Steps(form, number, note=note)

    def at_commit() -> Fault:
        return OF_COMMITS.get(steps.reached("commit"), Fault.NONE)

    def open_faulty(settings: Settings) -> Database:
        return FaultyDatabase(open_tables(settings), choose=at_commit)

    pytest.MonkeyPatch().setattr(server, "open_tables", open_faulty)
    steps.install()
    with house(directory) as served:
        use(served)
    if form is Form.NONE:
        (directory / "steps").write_text("\n".join(steps.names))


def read_acknowledged(directory: Path) -> list[dict[str, Any]]:
    path = acknowledged_file(directory)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def recover(directory: Path) -> None:
    """The second child: a server without faults over what is left, then the oracle."""
    acknowledged = read_acknowledged(directory)
    with house(directory) as again:
        runs = again.get("/runs?limit=100")
        for run in runs:
            if run["command"] == LONG:
                again.post(f"/runs/{run['id']}/stop", {})
            if run["status"] != "ready":
                ended(again, run["id"])
        runs = {run["id"]: run for run in again.get("/runs?limit=100")}
        sweeps = again.get("/sweeps")
    assert len(sweeps) <= 1, "a create was applied twice"
    assert len(runs) <= 3, "a create was applied twice"
    for done in acknowledged:
        if done["call"] == "POST /runs":
            assert done["id"] in runs, done
    for run in runs.values():
        judge(run, again.workspace)
    check_ledger(again.data_dir)
    check_receipts(again.data_dir, acknowledged)


def judge(run: dict[str, Any], workspace: Path) -> None:
    """What is said of a run against what it left behind."""
    if "first.trace" in run["command"]:
        name, code = "first", 3
    elif "second.trace" in run["command"]:
        name, code = "second", 0
    else:
        assert run["status"] in ENDED, run
        return
    assert executions(workspace, name) <= 1, run
    if run["status"] == "ready":
        assert executions(workspace, name) == 0
    else:
        assert (run["exit_code"], executions(workspace, name)) == (code, 1), run


def check_receipts(data_dir: Path, acknowledged: list[dict[str, Any]]) -> None:
    """Every receipt names an entry, and its hash."""
    database = open_database(f"sqlite:///{data_dir / 'tally.db'}")
    try:
        with database.read() as tx:
            for done in acknowledged:
                if done["receipt"] is not None:
                    (entry,) = Ledger.read(tx, after=done["receipt"]["seq"] - 1, limit=1)
                    assert entry.leaf_hash.hex() == done["receipt"]["leaf_hash"], done
    finally:
        database.close()


def in_child(what: Callable[[], None], log: Path) -> int:
    """The wait status of a child that did it; its traceback, if any, is left in `log`."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 1
    try:
        what()
        status = 0
    except BaseException:  # noqa: BLE001 - a child's whole fate is its status
        log.write_text(traceback.format_exc())
    finally:
        os._exit(status)


def one(root: Path, form: Form, number: int) -> dict[str, Any]:
    directory = root / f"{form.value}-{number}"
    directory.mkdir()
    first = in_child(lambda: serve(directory, form, number), directory / "served")
    second = in_child(lambda: recover(directory), directory / "recovered")
    told: dict[str, Any] = {"number": number, "served": first, "recovered": second}
    told["acknowledged"] = len(read_acknowledged(directory))
    for name in ("note", "served", "recovered"):
        if (directory / name).exists():
            told[f"{name}_text"] = (directory / name).read_text()[-3000:]
    return told


def main(arguments: list[str]) -> None:
    root, form = Path(arguments[0]), Form(arguments[1])
    if form is Form.NONE:
        told = one(root, form, 0)
        print(json.dumps({**told, "steps": (root / "none-0" / "steps").read_text().split("\n")}))
        return
    for number in range(*(int(word) for word in arguments[2:5])):
        print(json.dumps(one(root, form, number)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
