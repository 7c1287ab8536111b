import os
from pathlib import Path

import pytest

from tallystick.store import scanning
from tallystick.store.scanning import scan


def names(root: Path) -> list[str]:
    return [found.below for found in scan(root)]


def test_files_are_found_in_order_with_paths_below_the_root(tmp_path: Path) -> None:
    for name in ("b", "a", "deep/er/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert names(tmp_path) == ["a", "b", "deep/er/c"]
    for found in scan(tmp_path):
        file = found.open()
        assert os.read(file, 99).decode() == found.below
        os.close(file)


def test_links_pipes_and_sockets_are_not_seen(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "out" / "around").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "out" / "pipe")
    assert names(tmp_path / "out") == []


def test_a_link_in_the_place_of_the_root_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").touch()
    (tmp_path / "root").symlink_to(tmp_path / "there")
    assert names(tmp_path / "root") == []


def test_a_file_that_became_a_link_meanwhile_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    for found in scan(tmp_path):
        (tmp_path / "a").unlink()
        (tmp_path / "a").symlink_to("/etc/passwd")
        with pytest.raises(OSError, match="symbolic"):
            found.open()


def test_a_file_may_be_the_root_and_nothing_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    assert names(tmp_path / "a.json") == ["a.json"]
    assert names(tmp_path / "none") == []


def test_a_look_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "MOST_ENTRIES", 3)
    for number in range(9):
        (tmp_path / str(number)).touch()
    assert len(names(tmp_path)) == 3
