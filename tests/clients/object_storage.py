"""A real S3-compatible server in a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import obstore
from obstore.store import S3Store

from tallystick.testing.server import eventually
from tests.clients.conftest import python_of

ACCESS_KEY = "TALLYTESTKEY"
SECRET_KEY = "a-secret-of-this-test-alone"
BUCKET = "tally-files"
IDENTITIES = f"""{{"identities": [{{"name": "tally", "actions": ["Admin", "Read", "Write", "List"],
  "credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}]}}]}}"""


@dataclass(slots=True)
class ObjectStorage:
    """One bucket, which it makes when something is first put."""

    directory: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    roles: dict[str, int] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What its clients read."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
        }

    def start(self) -> None:
        """Start, and wait until requests are answered."""
        if not self.roles:
            self.roles = dict(zip(("master", "volume", "filer", "s3"), free_ports(4), strict=True))
            self.port = self.roles["s3"]
            self.directory.mkdir()
            (self.directory / "identities.json").write_text(IDENTITIES)
        program = python_of("objects").parent / "weed"
        ports = [f"-{role}.port={port}" for role, port in self.roles.items()]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *[str(program), "-logtostderr", "server", "-s3", f"-dir={self.directory}"],
                    *["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.ip.bind=127.0.0.1", *ports],
                    *["-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"],
                    *["-s3.iam=false", f"-s3.config={self.directory / 'identities.json'}"],
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(self._is_ready)

    def _is_ready(self) -> bool:
        """Whether something that is put stays put."""
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()[-2000:]
        try:
            with urllib.request.urlopen(self.environment["AWS_ENDPOINT_URL"], timeout=5):
                pass
        except urllib.error.HTTPError:
            pass  # who asks without a key is refused: it is there
        except OSError:
            return False
        try:
            obstore.put(self.bucket("probe"), "probe", b"x")
        except obstore.exceptions.BaseError:
            return False
        return True

    def bucket(self, prefix: str = "") -> S3Store:
        """A look at the bucket itself."""
        return S3Store(
            BUCKET,
            prefix=prefix,
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            region="us-east-1",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            client_options={"allow_http": True},
            retry_config={"max_retries": 1},
        )

    def stop(self) -> None:
        """End it; what it holds stays."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None


def free_ports(number: int) -> list[int]:
    """Ports that are free, as are those 10,000 above, which its parts talk to each other on."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        while len(found) < number:
            near = socket.create_server(("127.0.0.1", 0))
            held.append(near)
            port = near.getsockname()[1]
            if port + 10_000 >= 65_536:
                continue
            try:
                held.append(socket.create_server(("127.0.0.1", port + 10_000)))
            except OSError:
                continue
            found.append(port)
    finally:
        for one in held:
            one.close()
    return found


@contextmanager
def object_storage(directory: Path) -> Iterator[ObjectStorage]:
    """One, until the block ends; everything in it is deleted then."""
    storage = ObjectStorage(directory)
    try:
        storage.start()
        yield storage
    finally:
        storage.stop()
        shutil.rmtree(directory, ignore_errors=True)
