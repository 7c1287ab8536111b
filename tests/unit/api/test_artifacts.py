"""Files of a run: kept by content, listed, read back, and nothing beside them."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tallystick.config import ArtifactSettings
from tests.unit.api.in_process import Api, build_api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = build_api(tmp_path)
    yield api
    api.close()


def ran(api: Api, command: str, **fields: Any) -> str:
    run = str(
        api.register(command=command, workdir=str(api.workdir), auto_start=True, **fields)["id"]
    )
    assert api.finished(run)["status"] == "finished", api.get(f"/runs/{run}/logs")
    return run


def kept(api: Api, run: str) -> dict[str, Any]:
    """The files of an ended run, looked for once more so that the look is over."""
    api.post(f"/runs/{run}/artifacts")
    return {item["path"]: item for item in api.get(f"/runs/{run}/artifacts")}


def content(api: Api, run: str, path: str, **more: Any) -> bytes:
    return bytes(api.call("GET", f"/runs/{run}/artifacts/{path}", **more).content)


def test_files_of_the_output_directory_are_kept_when_the_run_has_ended(api: Api) -> None:
    run = ran(api, 'mkdir "$TALLY_OUTPUT_DIR/sub"; echo one > "$TALLY_OUTPUT_DIR/sub/a.txt"')
    found = kept(api, run)
    digest = hashlib.sha256(b"one\n").hexdigest()
    assert (found["sub/a.txt"]["bytes"], found["sub/a.txt"]["sha256"]) == (4, digest)
    assert found["sub/a.txt"]["origin"] == "collected"
    assert content(api, run, "sub/a.txt") == b"one\n"


def test_directories_that_the_command_names_are_kept_without_what_was_there_before(
    api: Api,
) -> None:
    (api.workdir / "out").mkdir()
    old = api.workdir / "out" / "old.txt"
    old.write_text("before")
    os.utime(old, (1, 1))
    script = api.workdir / "train.py"
    script.write_text("import sys; open(sys.argv[2] + '/new.txt', 'w').write('new')")
    run = ran(api, "python3 train.py --output-dir out")
    assert set(kept(api, run)) == {"out/new.txt"}


def test_a_second_look_keeps_nothing_twice_and_sees_what_has_changed(api: Api) -> None:
    run = ran(api, 'echo one > "$TALLY_OUTPUT_DIR/a"; echo two > "$TALLY_OUTPUT_DIR/b"')
    kept(api, run)
    assert api.post(f"/runs/{run}/artifacts") == {
        "files": 0, "bytes": 0, "unchanged": 2, "left_out": [],
    }  # fmt: skip
    attempt = api.get(f"/runs/{run}")["attempt"]
    (api.server.runs_dir / run / attempt / "artifacts" / "a").write_text("other")
    assert api.post(f"/runs/{run}/artifacts")["files"] == 1
    assert content(api, run, "a") == b"other"


def test_links_and_what_is_ignored_are_not_followed(api: Api) -> None:
    (api.workdir / "secret").write_text("secret")
    run = ran(
        api,
        'cd "$TALLY_OUTPUT_DIR"; ln -s "$OLDPWD/secret" link; ln -s "$OLDPWD" around; mkfifo pipe; '
        "mkdir __pycache__; touch __pycache__/x.txt y.tmp z.txt",
    )
    assert set(kept(api, run)) == {"z.txt"}


def test_what_is_left_out_is_named_with_its_reason(api: Api) -> None:
    api.server.app.services.data.collector._settings = ArtifactSettings(max_files=2)
    run = ran(api, 'cd "$TALLY_OUTPUT_DIR"; touch 1 2 3')
    kept(api, run)
    (left,) = api.get(f"/runs/{run}/artifacts-left-out")
    assert left["path"] == "3"
    assert "artifacts.max_files = 2" in left["why"]


def test_a_file_that_is_sent_is_kept_whatever_its_size(api: Api) -> None:
    run = ran(api, "true")
    large = os.urandom(3 * 1024 * 1024 + 17)  # larger than any other body may be here
    answer = api.call("PUT", f"/runs/{run}/artifacts/models/a%20b.bin", content=large)
    assert answer.status_code == 200, answer.text
    assert answer.json()["path"] == "models/a b.bin"
    assert content(api, run, "models/a%20b.bin") == large
    sealed = api.server.runs_dir / run / "metrics" / "run.artifacts"
    assert hashlib.sha256(large).hexdigest() in sealed.read_text()


def test_ranges_are_the_bytes_that_were_asked_for(api: Api) -> None:
    run = ran(api, 'printf 0123456789 > "$TALLY_OUTPUT_DIR/a"')
    kept(api, run)
    for asked, expected, told in (
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
    ):
        answer = api.call("GET", f"/runs/{run}/artifacts/a", headers={"Range": asked})
        assert (answer.status_code, answer.content) == (206, expected)
        assert answer.headers["content-range"] == told
    assert content(api, run, "a", headers={"Range": "lines=1-2"}) == b"0123456789"
    answer = api.call("GET", f"/runs/{run}/artifacts/a", headers={"Range": "bytes=10-"})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    head = api.call("HEAD", f"/runs/{run}/artifacts/a")
    assert (head.content, head.headers["content-length"]) == (b"", "10")


def test_nothing_that_is_shown_is_ever_executed_by_a_browser(api: Api) -> None:
    run = ran(api, "true")
    for name in ("page.html", "picture.svg", "picture.png"):
        api.call("PUT", f"/runs/{run}/artifacts/{name}", content=b"<script>alert(1)</script>")
        plain = api.call("GET", f"/runs/{run}/artifacts/{name}")
        assert plain.headers["content-type"] == "application/octet-stream"
        assert plain.headers["content-disposition"].startswith("attachment")
        shown = api.call("GET", f"/runs/{run}/artifacts/{name}?preview=true")
        assert shown.headers["content-type"] in {"text/plain; charset=utf-8", "image/png"}
        for answer in (plain, shown):
            assert "sandbox" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["../x", "a/../b", "a//b", ".", "a/%00", "a%5Cb", "%2e%2e/x", "x" * 2_000]
)
def test_a_path_with_tricks_is_refused(api: Api, path: str) -> None:
    run = ran(api, "true")
    address = f"/runs/{run}/artifacts/{path}"
    answer = api.call("PUT", address.replace("..", "%2e%2e"), content=b"x")
    assert answer.status_code in {404, 405, 422}, answer.text


def test_files_that_are_not_there_are_told_as_such(api: Api) -> None:
    ready = str(api.register()["id"])
    assert api.get(f"/runs/{ready}/artifacts") == []
    assert api.call("PUT", f"/runs/{ready}/artifacts/a", content=b"x").status_code == 409
    assert api.call("POST", f"/runs/{ready}/artifacts").json()["code"] == "run_not_started"
    answer = api.call("GET", f"/runs/{ready}/artifacts/a")
    assert (answer.status_code, answer.json()["code"]) == (404, "artifact_not_found")


def test_bytes_that_have_changed_on_disk_are_not_handed_out(api: Api) -> None:
    run = ran(api, "true")
    made = api.call("PUT", f"/runs/{run}/artifacts/a", content=b"as it was").json()
    digest = made["sha256"]
    path = api.server.settings.server.data_dir / "blobs" / digest[:2] / digest[2:]
    path.write_bytes(b"as it is!")
    sent = b""
    with suppress(httpx.HTTPError):
        sent = content(api, run, "a")
    assert sent != b"as it is!"


def test_an_upload_beyond_the_limit_is_refused_and_nothing_is_kept(api: Api) -> None:
    run = ran(api, "true")
    settings = replace(api.server.settings, artifacts=ArtifactSettings(max_file_mb=1))
    object.__setattr__(api.server.app.services, "settings", settings)
    answer = api.call("PUT", f"/runs/{run}/artifacts/a", content=b"x" * (1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 100_000

    answer = api.call("PUT", f"/runs/{run}/artifacts/a", content=pieces())
    assert answer.status_code == 413
    assert api.get(f"/runs/{run}/artifacts") == []
    assert not list((api.server.settings.server.data_dir / "blobs" / "incoming").glob("*"))
