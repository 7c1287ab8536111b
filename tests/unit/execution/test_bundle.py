"""The launch directory is private, whole, and says the same thing however often it is written."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.errors import InvalidError
from tallystick.execution.bundle import spend_bundle, write_bundle, write_stop
from tallystick.wire import codec
from tallystick.wire.bundle import COMMAND_ARGUMENT_BYTES, Bundle, StopRequest


def bundle(command: str) -> Bundle:
    return Bundle(run="run_1", attempt="att_1", command=command, workdir="/")


def test_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    directory = tmp_path / "runs" / "run_1" / "att_1"
    for _ in range(2):
        write_bundle(directory, bundle("echo 'ä'\n"))
    document = json.loads((directory / "bundle.json").read_bytes())
    assert codec.from_json(Bundle, document) == bundle("echo 'ä'\n")
    assert [path.name for path in directory.iterdir()] == ["bundle.json"]
    modes = [path.stat().st_mode & 0o777 for path in (directory / "bundle.json", directory)]
    assert modes == [0o600, 0o700]


def test_a_command_too_long_for_an_argument_stands_in_a_file(tmp_path: Path) -> None:
    write_bundle(tmp_path / "short", bundle("x" * COMMAND_ARGUMENT_BYTES))
    write_bundle(tmp_path / "long", bundle("ä" * COMMAND_ARGUMENT_BYTES))
    assert not (tmp_path / "short" / "command.sh").exists()
    assert (tmp_path / "long" / "command.sh").read_text() == "ä" * COMMAND_ARGUMENT_BYTES


@pytest.mark.parametrize("command", ["a\0b", "half \ud800"])
def test_text_that_no_program_can_be_given_is_refused(tmp_path: Path, command: str) -> None:
    with pytest.raises(InvalidError):
        write_bundle(tmp_path / "att", bundle(command))
    assert not (tmp_path / "att").exists()


def test_a_stop_is_written_once_and_replaced_by_another(tmp_path: Path) -> None:
    write_stop(tmp_path, StopRequest(grace_seconds=5.0))
    first = (tmp_path / "stop.json").stat().st_ino
    write_stop(tmp_path, StopRequest(grace_seconds=5.0))
    assert (tmp_path / "stop.json").stat().st_ino == first
    write_stop(tmp_path, StopRequest(grace_seconds=1.0))
    assert json.loads((tmp_path / "stop.json").read_bytes())["grace_seconds"] == 1.0
    with pytest.raises(FileNotFoundError):
        write_stop(tmp_path / "none", StopRequest(grace_seconds=1.0))


def test_a_bundle_that_has_served_keeps_no_command_and_no_environment(tmp_path: Path) -> None:
    secret = replace(bundle("x" * 200_000), environment={"KEY": "hunter2"})
    write_bundle(tmp_path, secret)
    for _ in range(2):
        spend_bundle(tmp_path)
        spent = codec.from_json(Bundle, json.loads((tmp_path / "bundle.json").read_bytes()))
        assert spent == replace(secret, command="", environment={})
        assert [path.name for path in tmp_path.iterdir()] == ["bundle.json"]


def test_a_bundle_that_cannot_be_read_is_removed(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text('{"environment": {"KEY": "hunter2"')
    spend_bundle(tmp_path)
    spend_bundle(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
