"""The words of a `for` as values, where they are fixed; pure.

Fixed are plain words, `{1..5}` and `{a,b}`, `$(seq …)`, and variables and arrays that were set to
something fixed on the same line. A pattern for file names is not: only the disk could tell.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from tallystick.shell.syntax import Assignment, Word

MOST_VALUES: Final = 1_000
"""More rounds than this are left to the loop itself."""

_NUMBER: Final = re.compile(r"-?[0-9]{1,9}")
_RANGE: Final = re.compile(r"\{(-?[0-9]{1,9})\.\.(-?[0-9]{1,9})(?:\.\.(-?[0-9]{1,9}))?\}")
_LIST: Final = re.compile(r"([^{}\s'\"\\$`*?\[]*)\{([^{}\s'\"\\$`*?\[]*,[^{}\s'\"\\$`*?\[]*)\}"
                          r"([^{}\s'\"\\$`*?\[]*)")  # fmt: skip
_ARRAY: Final = re.compile(r"\"?\$\{([A-Za-z_]\w*)\[[@*]\]\}\"?")
_OPEN: Final = frozenset("{}*?[~")


def fixed(words: Iterable[Word], assigned: Mapping[str, Assignment]) -> tuple[str, ...] | None:
    """What a loop goes through, in order; None when anything else than the text decides."""
    found: list[str] = []
    for word in words:
        values = _of(word, assigned)
        if values is None or len(found) + len(values) > MOST_VALUES:
            return None
        found += values
    return tuple(found)


def _of(word: Word, assigned: Mapping[str, Assignment]) -> list[str] | None:
    """The values of one word."""
    if word.text is not None:
        return [word.text] if not set(word.raw) & _OPEN or _is_quoted(word) else _braces(word.raw)
    if (array := _ARRAY.fullmatch(word.raw)) is not None:
        return _items(assigned.get(array[1]))
    if len(word.pieces) != 1 or word.pieces[0].quoted:
        return None
    piece = word.pieces[0]
    if piece.kind == "substitution":
        return _seq(piece.value.split())
    if piece.kind == "variable" and piece.value in assigned:
        text = assigned[piece.value].value.text
        plain = text is not None and not set(text) & _OPEN and assigned[piece.value].items is None
        return text.split() if plain and text is not None else None
    return None


def _is_quoted(word: Word) -> bool:
    """Whether the whole word stands in quotes of one kind: nothing in it is a pattern."""
    return len(word.raw) > 1 and word.raw[0] == word.raw[-1] and word.raw[0] in "'\""


def _braces(raw: str) -> list[str] | None:
    """`{1..5}`, `{1..9..2}`, `a{b,c}d`."""
    if (match := _RANGE.fullmatch(raw)) is not None:
        padded = any(part.lstrip("-").startswith("0") and len(part.lstrip("-")) > 1
                     for part in match.groups("1")[:2])  # fmt: skip
        step = abs(int(match[3] or 1)) or 1
        return None if padded else _numbers(int(match[1]), int(match[2]), step)
    if (match := _LIST.fullmatch(raw)) is not None and ".." not in match[2]:
        return [f"{match[1]}{part}{match[3]}" for part in match[2].split(",")]
    return None


def _numbers(first: int, last: int, step: int) -> list[str] | None:
    """From one number to another, either way."""
    count = abs(last - first) // step + 1
    if count > MOST_VALUES:
        return None
    sign = 1 if last >= first else -1
    return [str(first + sign * step * place) for place in range(count)]


def _seq(words: list[str]) -> list[str] | None:
    """What `seq` prints, for whole numbers."""
    if len(words) not in {2, 3, 4} or words[0] != "seq":
        return None
    if not all(_NUMBER.fullmatch(word) for word in words[1:]):
        return None
    numbers = [int(word) for word in words[1:]]
    first = numbers[0] if len(numbers) > 1 else 1
    step = numbers[1] if len(numbers) == 3 else 1
    last = numbers[-1]
    if step == 0:
        return None
    if (last - first) * step < 0:
        return []
    return _numbers(first, first + (last - first) // step * step, abs(step))


def _items(array: Assignment | None) -> list[str] | None:
    """The items of an array that was set on the same line."""
    if array is None or array.items is None:
        return None
    texts = [item.text for item in array.items if not set(item.raw) & _OPEN or _is_quoted(item)]
    if len(texts) != len(array.items):
        return None
    return [text for text in texts if text is not None] if None not in texts else None
