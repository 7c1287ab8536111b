"""Files of runs in real object storage: the seam's suite, and a server whose files go there."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest

from tallystick.errors import InvalidError, UnavailableError
from tallystick.store.choosing import blobs_at
from tallystick.store.object_blobs import ObjectBlobs
from tallystick.testing.contract.blobs import BlobsContract
from tallystick.testing.server import ServerProcess, eventually, running_server
from tests.clients.object_storage import BUCKET, ObjectStorage, object_storage

CONTENT = os.urandom(12_000_000)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path_factory.mktemp("objects") / "weed") as storage:
        yield storage


class TestObjectStorage(BlobsContract):
    @pytest.fixture
    def blobs(
        self, storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> ObjectBlobs:
        for name, value in storage.environment.items():
            monkeypatch.setenv(name, value)
        return ObjectBlobs(f"s3://{BUCKET}/{tmp_path.name}", scratch=tmp_path / "blobs")

    @pytest.fixture
    def damage(self, storage: ObjectStorage, tmp_path: Path) -> Callable[[str], None]:
        def flip(sha256: str) -> None:
            bucket, name = storage.bucket(tmp_path.name), f"{sha256[:2]}/{sha256[2:]}"
            content = bytearray(obstore.get(bucket, name).bytes())
            content[100] ^= 1
            obstore.put(bucket, name, bytes(content))

        return flip

    def test_large_bytes_go_in_several_parts_and_nothing_stays_here(
        self, blobs: ObjectBlobs, tmp_path: Path
    ) -> None:
        blob = blobs.put([CONTENT])
        assert b"".join(blobs.read(blob.sha256)) == CONTENT
        assert not list((tmp_path / "blobs" / "incoming").iterdir())

    @pytest.mark.usefixtures("blobs")
    def test_a_refused_key_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        refused = ObjectBlobs(f"s3://{BUCKET}/x", scratch=tmp_path)
        with pytest.raises(UnavailableError, match="privileges") as caught:
            refused.put([b"x"])
        assert "another" not in str(caught.value)


@pytest.fixture
def server(storage: ObjectStorage, tmp_path: Path) -> Iterator[ServerProcess]:
    environment = {**storage.environment, "TALLY_ARTIFACTS_STORE": f"s3://{BUCKET}/of-a-server"}
    with running_server(tmp_path, environment=environment) as server:
        yield server


def listed(server: ServerProcess, run: str) -> Any:
    return server.get(f"/runs/{run}/artifacts")


def test_files_of_runs_go_to_the_bucket_and_come_back_from_it(
    server: ServerProcess, storage: ObjectStorage
) -> None:
    (server.workspace / "source").write_bytes(CONTENT)
    run = server.run(server.sweep(), 'cp source "$TALLY_OUTPUT_DIR/model.bin"; env')["id"]
    assert server.ended(run)["status"] == "finished"
    (kept,) = eventually(lambda: listed(server, run))
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (kept["path"], kept["sha256"]) == ("model.bin", digest)
    stored = obstore.get(storage.bucket("of-a-server"), f"{digest[:2]}/{digest[2:]}")
    assert bytes(stored.bytes()) == CONTENT
    assert [path.name for path in (server.data_dir / "blobs").iterdir()] == ["incoming"]
    path = f"/runs/{run}/artifacts/model.bin"
    assert server.get(path) == CONTENT
    part = server.call("GET", path, headers={"Range": "bytes=5000000-5000009"})
    assert (part.status, part.body) == (206, CONTENT[5_000_000:5_000_010])
    output = server.get(f"/runs/{run}/logs?offset=0&limit=102400")["content"]
    assert "AWS_" not in output


def test_what_ended_while_the_bucket_was_away_is_kept_when_it_is_back(
    server: ServerProcess, storage: ObjectStorage
) -> None:
    storage.stop()
    run = server.run(server.sweep(), 'echo late > "$TALLY_OUTPUT_DIR/late.txt"')["id"]
    assert server.ended(run)["status"] == "finished"
    sent = server.call("PUT", f"/runs/{run}/artifacts/sent.txt", b"sent", timeout_seconds=120)
    assert (sent.status, sent.body["code"]) == (503, "storage_failed")
    eventually(lambda: "object storage" in server.log())
    assert listed(server, run) == []
    storage.start()
    (kept,) = eventually(lambda: listed(server, run), within_seconds=100)
    assert kept["path"] == "late.txt"
    assert server.get(f"/runs/{run}/artifacts/late.txt") == b"late\n"


@pytest.mark.parametrize("url", ["ftp://somewhere/x", "s3://", "/a/folder"])
def test_a_url_that_names_no_store_is_refused_at_start(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"^artifacts\.store: "):
        blobs_at(url, tmp_path)
