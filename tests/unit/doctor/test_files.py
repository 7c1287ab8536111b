"""The checks of the directory and its files, each both ways."""

import os
from pathlib import Path

import pytest

from tallystick.doctor import files
from tallystick.doctor.finding import Verdict
from tallystick.doctor.place import Place
from tests.unit.doctor.conftest import MakePlace


@pytest.mark.parametrize(
    "check", [files.directory, files.permissions, files.ledger_key, files.tokens, files.scratch]
)
def test_a_directory_as_a_server_left_it_is_well(check: files.Check, place: Place) -> None:
    found = check(place)
    assert found.verdict is Verdict.OK
    assert found.mend is None


def test_a_directory_that_is_not_there_is_no_fault(place_of: MakePlace, tmp_path: Path) -> None:
    found = files.directory(place_of(directory=tmp_path / "none"))
    assert found.verdict is Verdict.WARN
    assert f"tally up --data-dir {tmp_path / 'none'}" in str(found.mend)


def test_a_file_in_its_place_is_one(place_of: MakePlace, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = files.directory(place_of(directory=tmp_path / "file"))
    assert found.verdict is Verdict.FAIL
    assert str(found.mend).startswith("mv ")


def test_a_directory_open_to_others_is_told_with_its_chmod(place: Place) -> None:
    place.data_dir.chmod(0o755)
    found = files.directory(place)
    assert found.verdict is Verdict.WARN
    assert "0755" in found.found
    assert found.mend == f"chmod 700 {place.data_dir}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_told_with_its_chown(place: Place) -> None:
    os.chown(place.data_dir, 12_345, -1)
    found = files.directory(place)
    assert found.verdict is Verdict.FAIL
    assert "12345" in found.found
    assert str(found.mend).startswith("sudo chown -R ")


@pytest.mark.parametrize("name", ["ledger.key", "attempt.key", "admin.token", "tally.db"])
def test_a_file_that_others_can_read_is_named(place: Place, name: str) -> None:
    (place.data_dir / name).chmod(0o640)
    found = files.permissions(place)
    assert found.verdict is Verdict.FAIL
    assert name in found.found
    assert f"chmod 600 {place.data_dir / name}" in str(found.mend)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_named(place: Place) -> None:
    os.chown(place.data_dir / "tally.db", 12_345, -1)
    found = files.permissions(place)
    assert found.verdict is Verdict.FAIL
    assert "tally.db" in found.found
    assert "chown" in str(found.mend)


@pytest.mark.parametrize("content", [None, b"", b"PRIVATE+KEY+tally.local/"])
def test_a_key_that_is_gone_or_torn_fails(place: Place, content: bytes | None) -> None:
    path = place.data_dir / "ledger.key"
    path.unlink() if content is None else path.write_bytes(content)
    found = files.ledger_key(place)
    assert found.verdict is Verdict.FAIL
    assert "ledger.key" in found.found
    assert found.mend


@pytest.mark.parametrize(
    ("name", "content", "verdict"),
    [
        ("attempt.key", None, Verdict.WARN),
        ("attempt.key", b"short", Verdict.FAIL),
        ("admin.token", None, Verdict.WARN),
        ("admin.token", b"", Verdict.WARN),
        ("agent.token", b"tally_agent_", Verdict.WARN),
    ],
)
def test_tokens_that_are_gone_or_torn_are_named(
    place: Place, name: str, content: bytes | None, verdict: Verdict
) -> None:
    path = place.data_dir / name
    path.unlink() if content is None else path.write_bytes(content)
    found = files.tokens(place)
    assert found.verdict is verdict
    assert name in found.found
    assert found.mend


@pytest.mark.parametrize("folder", ["", "runs/run_0123456789ab", "runs/run_0123456789ab/att_1"])
def test_a_half_written_file_is_found_wherever_it_lies(place: Place, folder: str) -> None:
    (place.data_dir / folder).mkdir(parents=True, exist_ok=True)
    left = place.data_dir / folder / ".bundle.json.4711.140000"
    left.touch()
    (place.data_dir / folder / ".hidden").touch()
    found = files.scratch(place)
    assert found.verdict is Verdict.WARN
    assert "1 half-written" in found.found
    assert found.mend == f"rm {left}"
