"""A supervisor by a stranger: written from docs/spec/supervisor-protocol.md, and from nothing else.

Imports nothing of ours. It takes the launcher's place, too: a socket on standard input. Numbers in
comments are the steps of section 6.
"""

import ctypes
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def launcher() -> None:
    channel = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in channel.makefile("rb"):
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            channel.close()
            os._exit(Stranger(Path(asked["directory"]), asked["token"]).supervise())
        answer = {"attempt": asked["attempt"], "pid": pid, "start_ticks": ticks(pid)}
        channel.sendall(json.dumps(answer).encode() + b"\n")


def ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def durably(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.rename(path)
    os.fsync(os.open(path.parent, os.O_RDONLY))


class Stranger:
    def __init__(self, directory: Path, token: str) -> None:
        self.directory, self.token = directory, token
        self.journal = directory / "journal.jsonl"
        self.records: list[dict[str, Any]] = []
        self.stopped = False

    def supervise(self) -> int:
        signal.signal(signal.SIGTERM, self.on_stop)  # 1
        os.setsid()
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)  # 2
        output = self.directory / "output.log"
        if output.exists() or (self.journal.exists() and b"\n" in self.journal.read_bytes()):
            return 3  # 3
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # 4
        bundle = json.loads((self.directory / "bundle.json").read_bytes())
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        pid = os.getpid()
        self.note("supervisor_started", pid=pid, start_ticks=ticks(pid), boot_id=boot)  # 5
        status = self.execute(bundle, output)
        durably(  # 15
            self.directory / "bundle.json",
            json.dumps({**bundle, "command": "", "environment": {}}).encode(),
        )
        while self.directory.is_dir() and not self.relay(bundle):  # 16
            time.sleep(0.1)  # the pause before the next try
        return status

    def execute(self, bundle: dict[str, Any], output: Path) -> int:
        if (self.directory / "stop.json").exists():  # 6
            self.note("ended", cause="stop")
            return 127
        metrics = self.directory / "metrics.jsonl"
        metrics.touch(0o600)  # 8
        own = {
            "TALLY_RUN_DIR": str(self.directory),
            "TALLY_ATTEMPT_ID": bundle["attempt"],
            "TALLY_METRICS": str(metrics),
            "PWD": bundle["workdir"],
        }
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
            try:
                process = subprocess.Popen(  # 9
                    ["bash", "-c", bundle["command"]],
                    cwd=bundle["workdir"],
                    env=bundle["environment"] | own,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                code = "exec_failed" if Path(bundle["workdir"]).is_dir() else "workdir_missing"
                self.note("command_refused", code=code, detail=str(error))
                self.note("ended", cause="refused", code=code, detail=str(error))
                return 127
        self.note("command_started", pid=process.pid, start_ticks=ticks(process.pid))  # 10
        self.relay(bundle)
        return self.see_through(bundle, process.pid, [output, metrics])

    def see_through(self, bundle: dict[str, Any], command: int, streams: list[Path]) -> int:
        told: dict[str, int] = {}
        while True:  # 11
            try:
                pid, status = os.wait()
            except ChildProcessError:
                break
            if pid == command:  # 12
                code = os.waitstatus_to_exitcode(status)
                told = {"exit_code": code} if code >= 0 else {"signal": -code}
                self.note("command_exited", **told)
                self.end_all(bundle["leftover_seconds"])
        for path in streams:  # 13
            content = path.read_bytes()
            if content or path.stem == "output":
                digest = hashlib.sha256(content).hexdigest()
                self.note("output_sealed", stream=path.stem, bytes=len(content), sha256=digest)
        self.note("ended", cause=self.cause(), **told)  # 14
        return told.get("exit_code", 128 + told.get("signal", 0))

    def on_stop(self, *_: object) -> None:
        self.stopped = True
        self.end_all(10)

    def cause(self) -> str:
        asked = (self.directory / "stop.json").exists()
        return ("stop" if asked else "terminated") if self.stopped else "exited"

    def end_all(self, grace_seconds: float) -> None:
        """TERM to every child, adopted ones included; KILL in the end."""
        until = time.monotonic() + grace_seconds
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in children.read_text().split():
                os.kill(int(pid), number)
            while children.read_text().split() and time.monotonic() < until:
                if all("Z" in stat for stat in map(state, children.read_text().split())):
                    return
                time.sleep(0.01)

    def note(self, kind: str, **members: object) -> None:
        now = time.time_ns() // 1_000_000
        record = {"n": len(self.records) + 1, "at": now, "kind": kind, **members}
        said = json.dumps(record).encode()
        message = self.directory.name.encode() + b"\n" + said
        mac = hmac.new(self.token.encode(), message, hashlib.sha256).hexdigest()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        with os.fdopen(os.open(self.journal, flags, 0o600), "ab") as file:
            file.write(b'{"mac":"%b","record":%b}\n' % (mac.encode(), said))
            file.flush()
            os.fsync(file.fileno())
        if not self.records:
            os.fsync(os.open(self.directory, os.O_RDONLY))
        self.records.append(record)

    def relay(self, bundle: dict[str, Any]) -> bool:
        """One try; whether the server has everything (section 7)."""
        server_file = Path(bundle["server_file"])
        try:
            server = json.loads(server_file.read_bytes())
            owner = Path(f"/proc/{server['pid']}").stat().st_uid
            with server_file.with_name("server.lock").open() as lock:
                if owner not in {0, os.getuid()} or not is_held(lock.fileno()):
                    return False
            metrics = (self.directory / "metrics.jsonl").read_bytes()
            if metrics and self.records[-1]["kind"] == "ended":  # whole, and before the end is told
                path = f"/attempts/{bundle['attempt']}/metrics?offset=0"
                self.post(server["url"], path, metrics, "application/x-ndjson")
            path = f"/attempts/{bundle['attempt']}/observations"
            said = json.dumps({"observations": self.records}).encode()
            told = self.post(server["url"], path, said, "application/json")["acknowledged"]
        except (OSError, ValueError, KeyError):
            return False
        return bool(told == len(self.records))

    def post(self, url: str, path: str, body: bytes, kind: str) -> Any:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        connection.request(
            "POST",
            path,
            body,
            {"Authorization": f"Bearer {self.token}", "Content-Type": kind},
        )
        return json.loads(connection.getresponse().read())


def state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


if __name__ == "__main__":
    launcher()
