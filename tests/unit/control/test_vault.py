"""The secrets of runs: private, durable, never guessed."""

from pathlib import Path

import pytest

from tallystick.control.vault import SECRETS_FILE, Vault
from tallystick.domain.ids import RunId
from tallystick.errors import InvalidError, UnavailableError

RUN = RunId("run_00000000000a")


def test_secrets_are_kept_private_and_added_to_in_order(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "runs")
    vault.keep(RUN, {"b": "1", "ä": "\ud800☂"})
    vault.keep(RUN, {"a": "2"})
    assert list(Vault(tmp_path / "runs").load(RUN).items()) == [
        ("b", "1"),
        ("ä", "\ud800☂"),
        ("a", "2"),
    ]
    file = tmp_path / "runs" / RUN / SECRETS_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in file.parent.iterdir()] == [SECRETS_FILE]


def test_a_run_without_secrets_has_no_file(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.keep(RUN, {})
    assert list(tmp_path.iterdir()) == []
    assert vault.load(RUN) == {}


def test_what_cannot_be_stored_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    vault = Vault(tmp_path / "runs")
    with pytest.raises(UnavailableError) as error:
        vault.keep(RUN, {"a": "1"})
    assert error.value.code == "storage_failed"
    with pytest.raises(UnavailableError):
        vault.load(RUN)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_damaged_secrets_are_refused_and_not_taken_for_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RUN).mkdir()
    (tmp_path / RUN / SECRETS_FILE).write_bytes(content)
    with pytest.raises(InvalidError) as error:
        Vault(tmp_path).load(RUN)
    assert error.value.code == "secrets_unreadable"
