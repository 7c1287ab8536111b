import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.store.logs import page

MIXED = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=80).map(str.encode),
    st.lists(
        st.sampled_from(
            [b"\r\n", b"\r", "ä".encode(), "€".encode(), "🪵".encode(), b"\xe2\x82", b"a"]
        ),
        max_size=60,
    ).map(b"".join),
)


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "output.log"
    path.write_bytes(content)
    return path


@given(content=MIXED, limit=st.integers(1, 40))
@example(content="€".encode(), limit=1)
@example(content=b"\xe2\x82", limit=1)
@example(content=b"ab\xf0\x9f", limit=3)
@example(content=b"\xf0\x9fa\xe2", limit=2)
def test_pages_joined_are_the_decoded_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, limit: int
) -> None:
    path = written(tmp_path_factory.mktemp("log"), content)
    texts, offset = [], 0
    for _ in range(len(content) + 2):
        found = page(path, offset=offset, limit=limit, ended=True)
        assert found.offset == offset
        assert found.total_size == len(content)
        texts.append(found.content)
        offset = found.next_offset
        if not found.has_more_after:
            break
    assert offset == len(content)
    assert "".join(texts) == content.decode("utf-8", "replace")


@given(text=st.text(max_size=60), offset=st.integers(-300, 300), limit=st.integers(1, 50))
def test_a_page_from_anywhere_is_a_piece_of_the_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, offset: int, limit: int
) -> None:
    content = text.encode()
    found = page(
        written(tmp_path_factory.mktemp("log"), content), offset=offset, limit=limit, ended=True
    )
    assert content[found.offset : found.next_offset].decode() == found.content
    assert found.next_offset - found.offset <= max(limit, 4)
    assert found.has_more_before == (found.offset > 0)
    assert found.has_more_after == (found.next_offset < len(content))


@given(text=st.text(min_size=1, max_size=40), cut=st.integers(0, 200))
def test_nothing_is_shown_of_a_character_that_is_still_being_written(
    tmp_path_factory: pytest.TempPathFactory, text: str, cut: int
) -> None:
    content = text.encode()[: cut % (len(text.encode()) + 1)]
    path = written(tmp_path_factory.mktemp("log"), content)
    found = page(path, offset=0, limit=1000, ended=False)
    assert text.startswith(found.content)
    assert "\ufffd" not in found.content or "\ufffd" in text


def test_line_ends_are_not_touched(tmp_path: Path) -> None:
    content = b"10%\r20%\r\ndone\n"
    found = page(written(tmp_path, content), offset=0, limit=100, ended=True)
    assert found.content == "10%\r20%\r\ndone\n"


def test_a_negative_offset_never_gives_more_than_asked(tmp_path: Path) -> None:
    path = written(tmp_path, "€".encode() * 10)
    found = page(path, offset=-4, limit=4, ended=True)
    assert (found.content, found.offset, found.has_more_before) == ("€", 27, True)


def test_a_missing_file_is_an_empty_one(tmp_path: Path) -> None:
    found = page(tmp_path / "no" / "output.log", offset=-10, limit=10, ended=False)
    assert (found.content, found.total_size, found.has_more_after) == ("", 0, False)


def test_an_offset_beyond_the_end_is_the_end(tmp_path: Path) -> None:
    found = page(written(tmp_path, b"abc"), offset=99, limit=10, ended=True)
    assert (found.offset, found.content, found.has_more_before) == (3, "", True)


def test_what_a_command_put_in_the_place_of_its_output_is_no_output(tmp_path: Path) -> None:
    secret = tmp_path / "other"
    secret.write_text("not the run's")
    (tmp_path / "link").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe")  # whoever opened it plainly would wait for a writer
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("link", "pipe", "folder", "device", "none", "other/below"):
        found = page(tmp_path / name, offset=0, limit=100, ended=True)
        assert (found.content, found.total_size) == ("", 0), name
