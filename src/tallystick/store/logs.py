"""Pages of output files, byte exact.

Offsets and sizes are bytes of the file. A page never cuts a UTF-8 character, changes no line end,
and shows bytes that are no UTF-8 as U+FFFD, as Python's decoder would in the whole file: pages
read one after the other, joined, are the decoded file. Nothing is written here.
"""

import codecs
import errno
import os
from pathlib import Path
from typing import Final

from tallystick import durable
from tallystick.wire.views import LogPage

MAX_LIMIT_BYTES: Final = 102_400
"""Most bytes of one page."""

_LONGEST = 4  # bytes of a UTF-8 character
_NO_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR})


def page(path: Path, *, offset: int, limit: int, ended: bool) -> LogPage:
    """At most `limit` bytes of `path` from `offset`, which counts from the end when negative.

    A page begins and ends between characters: its own `offset` says where it begins, and a `limit`
    shorter than the next character is stretched to it. What may still become a character is held
    back at the end of the file, unless the output has `ended`. A missing file is an empty one.
    """
    behind = _LONGEST - 1
    start, total = locate(path, offset)
    before = min(start, behind)
    content = read(path, offset=start - before, limit=before + limit + _LONGEST)
    first, last = _character_across(content, before)
    at = last if offset < 0 else first
    complete = start - before + len(content) >= total
    text, used = decode(content[at:], limit, final=ended and complete)
    begin = start - before + at
    return LogPage(
        content=text,
        offset=begin,
        next_offset=begin + used,
        total_size=total,
        has_more_before=begin > 0,
        has_more_after=begin + used < total,
    )


def locate(path: Path, offset: int) -> tuple[int, int]:
    """Where `offset` lies, counted from the beginning and inside the file, and the file's size."""
    file = _open(path)
    if file is None:
        return 0, 0
    try:
        total = os.fstat(file).st_size
    finally:
        os.close(file)
    return (max(0, total + offset) if offset < 0 else min(offset, total)), total


def read(path: Path, *, offset: int, limit: int) -> bytes:
    """At most `limit` bytes from `offset` on; none when there is no file."""
    file = _open(path)
    if file is None:
        return b""
    try:
        return os.pread(file, limit, offset)
    finally:
        os.close(file)


def _open(path: Path) -> int | None:
    """A descriptor; None where there is no file of the run's own.

    A command can put anything in the place of its output: a pipe would hold up whoever reads it, a
    link would show what is not the run's. Both count as no file.
    """
    try:
        return durable.open_regular(path)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise


def decode(content: bytes, limit: int, *, final: bool) -> tuple[str, int]:
    """The text of about `limit` bytes of `content`, and how many bytes that is.

    `content` may be longer than `limit`; a cut falls between characters. `final` says that nothing
    follows `content`.
    """
    for end in range(min(limit, len(content)), len(content) + 1):
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(content[:end], final=final and end == len(content))
        held_back = len(decoder.getstate()[0])
        if end > held_back:
            return text, end - held_back
    return "", 0


def _character_across(content: bytes, at: int) -> tuple[int, int]:
    """Where the character that lies across `at` begins and ends; `at` twice when none does."""
    for first in range(at - 1, max(-1, at - _LONGEST), -1):
        if content[first] & 0xC0 == 0x80:  # a continuation byte: it begins further back
            continue
        last = first + _announced(content[first])
        if last > at and _is_character(content[first:last], last - first):
            return first, last
        break
    return at, at


def _announced(lead: int) -> int:
    """Bytes of the character that a lead byte announces; 1 when it announces none."""
    if lead >= 0xF0:
        return 4
    if lead >= 0xE0:
        return 3
    return 2 if lead >= 0xC0 else 1


def _is_character(content: bytes, length: int) -> bool:
    try:
        return len(content) == length and len(content.decode()) == 1
    except UnicodeDecodeError:
        return False
