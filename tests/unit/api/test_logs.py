import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.unit.api.in_process import Api

TEXT = "10%\r20%\r\nä€🪵\n" * 3_000


@pytest.fixture(scope="module")
def ended(shared_api: Api) -> str:
    source = shared_api.workdir / "text"
    source.write_bytes(TEXT.encode())
    run = shared_api.register(command=f"cat {source}", auto_start=True)["id"]
    assert shared_api.finished(run)["exit_code"] == 0
    return str(run)


def frames(text: str) -> list[tuple[int, Any]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            found.append((int(lines["id"]), json.loads(lines["data"])))
    return found


def test_without_parameters_it_is_the_last_ten_thousand_bytes(api: Api, ended: str) -> None:
    found = api.get(f"/runs/{ended}/logs")
    assert TEXT.endswith(found["content"])
    assert 9_990 <= len(found["content"].encode()) <= 10_000
    assert (found["has_more_before"], found["has_more_after"]) == (True, False)
    assert found["total_size"] == len(TEXT.encode())


@pytest.mark.parametrize("limit", [1_000, 4_099, 102_400, 10**9])
def test_pages_joined_are_the_output(api: Api, ended: str, limit: int) -> None:
    offset, texts = 0, []
    while True:
        found = api.get(f"/runs/{ended}/logs?offset={offset}&limit={limit}")
        assert len(found["content"].encode()) <= min(limit, 102_400)
        texts.append(found["content"])
        offset = found["next_offset"]
        if not found["has_more_after"]:
            break
    assert "".join(texts) == TEXT


def test_raw_bytes_are_the_files_own(api: Api, ended: str) -> None:
    answer = api.call("GET", f"/runs/{ended}/logs?format=raw&offset=1&limit=17")
    assert answer.content == TEXT.encode()[1:18]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-tally-next-offset"] == "18"


def test_the_stream_of_an_ended_run_is_initial_then_done(api: Api, ended: str) -> None:
    (first, initial), (last, done) = frames(api.call("GET", f"/runs/{ended}/logs/stream").text)
    assert initial["type"] == "initial"
    assert TEXT.endswith(initial["content"])
    assert len(initial["content"].encode()) <= 10_000
    assert done == {"type": "done", "status": "finished"}
    assert first == last == len(TEXT.encode())


def test_a_stream_from_an_offset_brings_everything(api: Api, ended: str) -> None:
    found = frames(api.call("GET", f"/runs/{ended}/logs/stream?offset=0").text)
    assert [item["type"] for _, item in found][:1] == ["initial"]
    assert "".join(item.get("content", "") for _, item in found) == TEXT


def test_a_stream_that_was_cut_off_goes_on_where_it_was(api: Api, ended: str) -> None:
    first = frames(api.call("GET", f"/runs/{ended}/logs/stream?offset=0").text)[0]
    headers = {"Last-Event-ID": str(first[0])}
    rest = frames(api.call("GET", f"/runs/{ended}/logs/stream", headers=headers).text)
    assert first[1]["content"] + "".join(i.get("content", "") for _, i in rest) == TEXT


def test_a_last_event_id_that_is_none_is_refused(api: Api, ended: str) -> None:
    answer = api.call("GET", f"/runs/{ended}/logs/stream", headers={"Last-Event-ID": "x"})
    assert answer.status_code == 422


def test_output_is_streamed_as_it_comes_and_ends_with_the_run(api: Api) -> None:
    go = api.workdir / "go"
    command = f"echo one; while [ ! -e {go} ]; do sleep 0.05; done; echo two"
    run = api.register(command=command, auto_start=True)["id"]
    streaming = api.begin("GET", f"/runs/{run}/logs/stream")
    wait_for_output(api, run, "one\n")
    assert not streaming.done()
    go.touch()
    found = frames(streaming.result(30).text)
    assert found[0][1]["type"] == "initial"
    assert {item["type"] for _, item in found[1:-1]} <= {"delta"}
    assert "".join(item.get("content", "") for _, item in found) == "one\ntwo\n"
    assert found[-1][1] == {"type": "done", "status": "finished"}


def wait_for_output(api: Api, run: str, content: str) -> None:
    for _ in range(600):
        if api.get(f"/runs/{run}/logs")["content"] == content:
            return
        threading.Event().wait(0.05)
    pytest.fail("the output never came")


def test_a_run_that_was_never_started_has_no_output(api: Api) -> None:
    found = api.get(f"/runs/{api.register()['id']}/logs")
    assert (found["content"], found["total_size"]) == ("", 0)


@pytest.mark.parametrize("query", ["limit=0", "offset=x", "format=xml", "offset=99999999999999999"])
def test_a_page_asked_for_wrongly_is_refused(api: Api, ended: str, query: str) -> None:
    assert api.call("GET", f"/runs/{ended}/logs?{query}").status_code == 422


def test_no_path_leads_out_of_the_runs_directory(api: Api, tmp_path: Path) -> None:
    for key in ("..", "%2e%2e", "..%2f..%2fadmin.token", "run_..%2f"):
        assert api.call("GET", f"/runs/{key}/logs").status_code == 404


@pytest.mark.parametrize("key", ["0", "2", "99999999999", "att_000000000000", "run_1", "%C2%B2"])
def test_an_attempt_that_the_run_never_had_is_refused_with_the_way_to_the_list(
    api: Api, ended: str, key: str
) -> None:
    for path in ("logs", "logs/stream"):
        answer = api.call("GET", f"/runs/{ended}/{path}?attempt={key}")
        assert (answer.status_code, answer.json()["code"]) == (404, "attempt_not_found")
        assert f"GET /runs/{ended}/attempts lists them" in answer.text


def test_an_attempt_of_another_run_is_not_read_through_this_one(api: Api, ended: str) -> None:
    other = api.register(command="echo secret", auto_start=True)["id"]
    attempt = api.finished(other)["attempt"]
    assert api.call("GET", f"/runs/{ended}/logs?attempt={attempt}").status_code == 404
    assert api.get(f"/runs/{other}/logs?attempt={attempt}")["content"] == "secret\n"


def test_attempts_come_in_pages(api: Api, ended: str) -> None:
    (only,) = api.get(f"/runs/{ended}/attempts")
    assert (only["number"], only["status"], only["exit_code"]) == (1, "finished", 0)
    assert api.get(f"/runs/{ended}/attempts?cursor=") == {"items": [only], "next_cursor": None}
    assert api.get(f"/runs/{ended}/attempts?cursor=1")["items"] == []
