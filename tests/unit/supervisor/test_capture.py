"""The tail of a log is short, printable and true; an interpreter is named without running it."""

from pathlib import Path

import pytest

from tallystick.supervisor.capture import create, interpreter, tail


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ""),
        (b"one\ntwo\n", "one\ntwo"),
        (b"1\n2\n3\n4\n5\n6\n7\n", "3\n4\n5\n6\n7"),
        (b"a\n\n\n  \nb\n\n", "a\nb"),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07text\x1b7", "red text"),
        (b"10%\r20%\r30%", "10%\n20%\n30%"),
        (b"nul\x00 bell\x07 tab\tdel\x7f", "nul bell tab\tdel"),
        (b"\xff\xfe bad", "\ufffd\ufffd bad"),
    ],
)
def test_tail(tmp_path: Path, content: bytes, expected: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    assert tail(log) == expected


def test_a_long_line_is_cut_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 100_000 + "€" * 200)
    text = tail(log)
    assert len(text.encode()) <= 500
    assert set(text) == {"€"}


def test_a_missing_log_has_no_tail(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == ""


def test_files_are_private_and_appended_to(tmp_path: Path) -> None:
    import os

    path = tmp_path / "f"
    for text in (b"a", b"b"):
        descriptor = create(path)
        os.write(descriptor, text)
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
    assert path.read_bytes() == b"ab"
    assert path.stat().st_mode & 0o777 == 0o600


class TestInterpreter:
    def program(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/false\n")
        path.chmod(0o755)
        return path

    def test_the_first_on_the_path_with_links_resolved(self, tmp_path: Path) -> None:
        real = self.program(tmp_path / "opt" / "bin" / "python3.12")
        (tmp_path / "first").mkdir()
        (tmp_path / "first" / "python").symlink_to(real)
        self.program(tmp_path / "second" / "python")
        path = f"{tmp_path}/none:{tmp_path}/first:{tmp_path}/second"
        assert interpreter({"PATH": path}) == (str(real), "3.12")

    def test_a_virtual_environment_tells_its_version(self, tmp_path: Path) -> None:
        self.program(tmp_path / "venv" / "bin" / "python")
        (tmp_path / "venv" / "pyvenv.cfg").write_text("home = /x\nversion = 3.11.7\n")
        assert interpreter({"PATH": f"{tmp_path}/venv/bin"})[1] == "3.11.7"

    def test_a_conda_environment_tells_its_version(self, tmp_path: Path) -> None:
        self.program(tmp_path / "env" / "bin" / "python")
        (tmp_path / "env" / "conda-meta").mkdir()
        (tmp_path / "env" / "conda-meta" / "python-3.10.4-h123_0.json").touch()
        assert interpreter({"PATH": f"{tmp_path}/env/bin"})[1] == "3.10.4"

    def test_python3_will_do_and_none_is_none(self, tmp_path: Path) -> None:
        found = self.program(tmp_path / "bin" / "python3")
        assert interpreter({"PATH": str(tmp_path / "bin")}) == (str(found), None)
        assert interpreter({"PATH": str(tmp_path)}) == (None, None)
