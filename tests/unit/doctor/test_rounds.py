"""All checks together: what a stopped, a running and a new directory say, and in what time."""

import time
from pathlib import Path

import pytest

from tallystick.clock import SystemClock
from tallystick.doctor import files, rounds
from tallystick.doctor.finding import Verdict
from tallystick.doctor.place import Place
from tests.unit.doctor.conftest import MakePlace

ENOUGH_SECONDS = 2.0


def test_everything_is_looked_at_once_and_soon(place: Place) -> None:
    began = time.monotonic()
    found = rounds.examine(place.settings, SystemClock())
    assert time.monotonic() - began < ENOUGH_SECONDS
    names = [item.check for item in found]
    assert len(names) == len(set(names)) == 19
    assert [item for item in found if item.verdict is Verdict.FAIL] == []


def test_of_a_new_directory_only_the_host_is_looked_at(place_of: MakePlace, tmp_path: Path) -> None:
    place = place_of(directory=tmp_path / "new")
    found = rounds.examine(place.settings, SystemClock())
    assert [item.check for item in found][:2] == ["directory", "disk"]
    assert not (tmp_path / "new").exists()


def test_a_check_that_cannot_look_holds_up_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_place: Place) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    monkeypatch.setattr(files, "directory", refuse)
    found = rounds.examine(place.settings, SystemClock())
    assert found[0].verdict is Verdict.FAIL
    assert "Permission denied" in found[0].found
    assert len(found) == 19
