from pathlib import Path

import pytest

from tallystick.store import frames
from tallystick.store.frames import Frame, Frames, one_line
from tallystick.store.series import Series

RUN = "run_0123456789ab"
NAME = "client.mlflow"


def frame(body: bytes, *, call: str = "runs/log-metric", child: str = "") -> Frame:
    return Frame(at=1, call=call, attempt="att_000000000001", child=child, body=body)


def lines(directory: Path) -> list[bytes]:
    return (directory / RUN / "metrics" / NAME).read_bytes().splitlines()


def test_a_body_stands_in_the_stream_byte_for_byte(tmp_path: Path) -> None:
    body = b'{"key":"a",  "value":0.10, "text":"\\u00e9\xc3\xa9"}'
    assert Frames(Series(tmp_path)).append(RUN, NAME, frame(body)) is None
    (line,) = lines(tmp_path)
    assert line == (
        b'{"at":1,"call":"runs/log-metric","attempt":"att_000000000001","body":' + body + b"}"
    )


def test_a_repeated_request_is_kept_once_also_by_the_next_server(tmp_path: Path) -> None:
    first = Frames(Series(tmp_path))
    made = frame(b'{"a":1}', call="runs/create", child="nested-11111111")
    assert first.append(RUN, NAME, made) is None
    again = frame(b'{"a":1}', call="runs/create", child="nested-22222222")
    assert first.append(RUN, NAME, again) == "nested-11111111"
    assert Frames(Series(tmp_path)).append(RUN, NAME, again) == "nested-11111111"
    assert first.append(RUN, NAME, frame(b'{"a":1}')) is None
    assert first.append(RUN, NAME, frame(b'{"a":1}')) == ""
    assert len(lines(tmp_path)) == 2


def test_only_the_newest_requests_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "REMEMBERED", 2)
    kept = Frames(Series(tmp_path))
    for number in (1, 2, 3, 3, 1):
        kept.append(RUN, NAME, frame(b'{"a":%d}' % number))
    assert len(lines(tmp_path)) == 4


def test_a_torn_line_is_left_behind_and_the_next_one_is_whole(tmp_path: Path) -> None:
    Frames(Series(tmp_path)).append(RUN, NAME, frame(b'{"a":1}'))
    path = tmp_path / RUN / "metrics" / NAME
    path.write_bytes(path.read_bytes() + b'{"at":1,"call":"runs/lo')
    assert Frames(Series(tmp_path)).append(RUN, NAME, frame(b'{"a":2}')) is None
    assert lines(tmp_path)[-1].endswith(b'"body":{"a":2}}')


def test_line_ends_between_tokens_become_spaces() -> None:
    assert one_line(b'{\r\n "a": 1\n}') == b'{   "a": 1 }'
