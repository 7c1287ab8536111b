"""Which GPUs a command itself names, in `CUDA_VISIBLE_DEVICES`.

Read for certain or not at all: every place where the command sets the variable must say what it
sets, in words that no shell would change. What several places name is put together: each of those
devices is used at some time.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from tallystick.errors import InvalidError
from tallystick.shell.words import UnreadableError, Word, commands

VARIABLE: Final = "CUDA_VISIBLE_DEVICES"

_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_RESERVED: Final = frozenset(
    {"{", "}", "!", "if", "then", "else", "elif", "while", "until", "do", "time"}
)
_WRAPPERS: Final = frozenset({"exec", "nohup", "command", "setsid"})
"""They run the rest of the words as it is, when no option follows."""
_DECLARING: Final = frozenset({"export", "declare", "typeset", "readonly"})
_HARMLESS_OPTIONS: Final = frozenset({"-x", "-gx"})
_SHELLS: Final = frozenset({"bash", "sh", "dash", "zsh"})
_SHELL_OPTION: Final = re.compile(r"-[a-z]*c")
_READ: Final = re.compile(rf"\$(?:{VARIABLE}\b|{{{VARIABLE}(?::?[-+?][^}}]*)?}})")
_UUID: Final = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z][0-9A-Za-z/-]*")
_INDEX: Final = re.compile(r"[0-9]{1,4}")
_NO_DEVICE: Final = re.compile(r"-[0-9]{1,4}|[A-Za-z]*")
"""CUDA ends its list at the first word that means no device."""
_DEEPEST: Final = 3


def named(command: str) -> tuple[str, ...] | None:
    """The devices that a command names, by index or UUID, each once; never raises.

    Empty when it names none (`CUDA_VISIBLE_DEVICES=`, or -1); None when it says nothing, or nothing
    that can be read for certain.
    """
    if VARIABLE not in command:
        return None
    try:
        lists = [list(_devices(value)) for value in _values(command, 0)]
    except UnreadableError:
        return None
    if not lists:
        return None
    return tuple(dict.fromkeys(device for found in lists for device in found))


def named_by(value: str) -> tuple[str, ...] | None:
    """The devices that a value of the variable names; None when that is not certain."""
    try:
        return tuple(dict.fromkeys(_devices(value)))
    except UnreadableError:
        return None


def reconcile(pins: Sequence[str] | None, gpus: int | None) -> int | None:
    """How many devices a run asks for, its command and its `gpus` taken together.

    Raises `InvalidError` when they contradict each other.
    """
    if pins is None or gpus is None:
        return gpus if pins is None else len(pins)
    if gpus != len(pins):
        raise InvalidError(
            f"gpus: expected {len(pins)}, because the command sets {VARIABLE} to "
            f"{','.join(pins) or 'no device'}; found {gpus}",
            code="gpus_conflict",
            hint=f"leave {VARIABLE} out of the command: it is set to the devices that the run is "
            "given; or leave out gpus",
        )
    return gpus


def _values(line: str, depth: int) -> Iterator[str]:
    """What the variable is set to, in order; raises `UnreadableError`."""
    if depth > _DEEPEST:
        raise UnreadableError("too deep")
    for words in commands(line):
        yield from _values_of(words, depth)


def _values_of(words: list[Word], depth: int) -> Iterator[str]:
    """The values in one simple command: assignments, then a program and its arguments."""
    rest = list(words)
    while rest and (rest[0].raw in _RESERVED or _is_assignment(rest[0].raw)):
        yield from _value(rest.pop(0))
    yield from _values_of_program(rest, depth)


def _values_of_program(words: list[Word], depth: int) -> Iterator[str]:
    """The values in a program and its arguments."""
    if not words:
        return
    program, rest = words[0].text, words[1:]
    if program in _WRAPPERS:
        yield from _values_of_program(rest, depth)
    elif program == "env":
        while rest and _is_assignment(rest[0].text or rest[0].raw):
            yield from _value(rest.pop(0))
        yield from _values_of_program(rest, depth)
    elif program in _DECLARING:
        yield from _values_of_declaration(rest)
    elif program in _SHELLS and rest and _SHELL_OPTION.fullmatch(rest[0].text or ""):
        yield from _values_of_script(rest[1:], depth)
    else:
        _expect_untouched(words)


def _values_of_declaration(words: list[Word]) -> Iterator[str]:
    """The values in what follows `export`; without a value it leaves the variable as it is."""
    for word in words:
        if (word.text or "").startswith("-") and word.text not in _HARMLESS_OPTIONS:
            _expect_untouched(words)
        elif word.text != VARIABLE:
            yield from _value(word)


def _values_of_script(words: list[Word], depth: int) -> Iterator[str]:
    """The values in what follows `bash -c`: a script that must be known, and its arguments."""
    if not words or words[0].text is None:
        _expect_untouched(words)
        return
    _expect_untouched(words[1:])
    yield from _values(words[0].text, depth + 1)


def _is_assignment(word: str) -> bool:
    """Whether a word assigns to a variable."""
    return _ASSIGNMENT.match(word) is not None


def _value(word: Word) -> Iterator[str]:
    """What a word sets the variable to, if it does."""
    if not (word.text or word.raw).startswith(f"{VARIABLE}="):
        _expect_untouched([word])
    elif word.text is None:
        raise UnreadableError("a value that an expansion decides")
    else:
        yield word.text.partition("=")[2]


def _expect_untouched(words: Sequence[Word]) -> None:
    """Words that do not touch the variable; to read it is no harm."""
    written = (text for word in words for text in (word.raw, word.text or ""))
    if any(VARIABLE in _READ.sub("", text) for text in written):
        raise UnreadableError("the variable, in a place that only the program knows")


def _devices(value: str) -> Iterator[str]:
    """The devices of a value, as CUDA reads it; raises `UnreadableError` for other words."""
    for word in (part.strip() for part in value.split(",")):
        if _INDEX.fullmatch(word):
            yield str(int(word))
        elif _UUID.fullmatch(word):
            yield word
        elif _NO_DEVICE.fullmatch(word):
            return
        else:
            raise UnreadableError("a word that is no device")
