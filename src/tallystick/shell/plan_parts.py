"""The parts of a plan that matter: shell text, Python and prose, each with its line; pure.

Markdown, task lists, shell scripts, Makefiles and notebooks. Lines count from 1 as people see them;
in a notebook they are those of the code cells, one after the other, and `place` names the cell.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

KINDS: Final = ("markdown", "tasks", "shell", "makefile", "notebook")

_FENCE: Final = re.compile(r"^ {0,3}(```+|~~~+)\s*([\w+-]*)")
_SHELLS: Final = frozenset({"", "bash", "sh", "shell", "console", "zsh", "shell-session"})
_PROMPT: Final = re.compile(r"^\s*(?:\$|>|%)\s+")
_INLINE: Final = re.compile(r"`([^`\n]+)`")
_LISTS: Final = ("tasks", "todos", "plan", "steps", "items")
_TEXTS: Final = ("content", "step", "title", "text", "task", "description")
_RECIPE: Final = re.compile(r"^\t\s*[@+-]*(.*)")


class Part(NamedTuple):
    """Something in a plan."""

    kind: str
    """shell, inline, python or prose."""
    line: int
    """Where it begins."""
    text: str
    place: str = ""
    """`cell 3`, in a notebook."""


def kind_of(text: str, name: str) -> str:
    """What a plan is written in, by its file's name and else by how it begins."""
    lower = name.lower()
    if lower.endswith((".sh", ".bash", ".zsh")) or text.startswith("#!"):
        return "shell"
    if lower.endswith(".ipynb"):
        return "notebook"
    if lower.rpartition("/")[2] in {"makefile", "gnumakefile"} or lower.endswith(".mk"):
        return "makefile"
    document = _json(text)
    if isinstance(document, dict) and "cells" in document:
        return "notebook"
    return "markdown" if document is None else "tasks"


def parts(text: str, kind: str) -> Iterator[Part]:
    """The parts of a plan, in order; nothing in it makes this raise."""
    readers: Mapping[str, Callable[[str], Iterator[Part]]] = {
        "tasks": _tasks, "shell": _shell, "makefile": _makefile, "notebook": _notebook,
    }  # fmt: skip
    return readers.get(kind, _markdown)(text)


def _json(text: str) -> Any:
    """A JSON object or list; None for anything else."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _markdown(text: str) -> Iterator[Part]:
    """Fenced blocks, code between backticks, and the lines around them."""
    fence, language, start, block = "", "", 0, list[str]()
    for number, line in enumerate(text.split("\n"), start=1):
        match = _FENCE.match(line)
        if fence:
            if match and match[1].startswith(fence) and not match[2]:
                yield from _block(language, start, block)
                fence, block = "", []
            else:
                block.append(line)
        elif match:
            fence, language, start = match[1], match[2].lower(), number + 1
        else:
            yield from _prose(line, number)
    yield from _block(language, start, block)


def _block(language: str, start: int, lines: list[str]) -> Iterator[Part]:
    """The inside of a fence."""
    if not lines:
        return
    if language in {"python", "py"}:
        yield Part("python", start, "\n".join(lines))
    elif language in _SHELLS:
        if any(_PROMPT.match(line) for line in lines):  # a transcript: what has no prompt is output
            for number, line in enumerate(lines):
                if _PROMPT.match(line):
                    yield Part("shell", start + number, _PROMPT.sub("", line))
        else:
            yield Part("shell", start, "\n".join(lines))
    elif language in {"make", "makefile"}:
        yield from (
            part._replace(line=start + part.line - 1) for part in _makefile("\n".join(lines))
        )


def _prose(line: str, number: int) -> Iterator[Part]:
    """A line of text, and the code in it."""
    if line.strip():
        yield Part("prose", number, line.strip())
    for match in _INLINE.finditer(line):
        yield Part("inline", number, match[1].strip())


def _tasks(text: str) -> Iterator[Part]:
    """The items of a list of tasks, as agents keep them."""
    at = 0
    for words in _items(_json(text)):
        quoted = json.dumps(words, ensure_ascii=False)[1:-1]
        plain = json.dumps(words)[1:-1]
        found = max(text.find(quoted, at), text.find(plain, at))
        at = found if found >= 0 else at
        line = text.count("\n", 0, at) + 1
        for each in words.split("\n"):
            yield from _prose(each, line)


def _items(document: Any) -> Iterator[str]:
    """The texts of the tasks."""
    if isinstance(document, dict):
        document = next(
            (document[key] for key in _LISTS if isinstance(document.get(key), list)), []
        )
    for item in document if isinstance(document, list) else []:
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            yield from (item[key] for key in _TEXTS if isinstance(item.get(key), str))


def _shell(text: str) -> Iterator[Part]:
    yield Part("shell", 1, text)


def _makefile(text: str) -> Iterator[Part]:
    """The recipes; a line that goes on is one command."""
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        match = _RECIPE.match(lines[number])
        start, number = number, number + 1
        if match is None:
            continue
        command = match[1]
        while command.endswith("\\") and number < len(lines):
            command = f"{command}\n{lines[number].lstrip()}"
            number += 1
        yield Part("shell", start + 1, command.replace("$$", "$"))


def _notebook(text: str) -> Iterator[Part]:
    """The code cells."""
    document = _json(text)
    cells = document.get("cells", []) if isinstance(document, dict) else []
    line = 1
    for number, cell in enumerate(cells if isinstance(cells, list) else [], start=1):
        source = cell.get("source", "") if isinstance(cell, dict) else ""
        code = "".join(map(str, source)) if isinstance(source, list) else str(source)
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            for part in _cell(code):
                yield part._replace(line=line + part.line - 1, place=f"cell {number}")
            line += code.count("\n") + 1


def _cell(code: str) -> Iterator[Part]:
    """One cell: shell after `!`, `%run` and `%%bash`, the rest is Python."""
    lines = code.split("\n")
    if lines[0].startswith(("%%bash", "%%sh")):
        yield Part("shell", 2, "\n".join(lines[1:]))
        return
    python = []
    for number, line in enumerate(lines, start=1):
        bare = line.strip()
        if bare.startswith("!"):
            yield Part("shell", number, bare.lstrip("!"))
        elif bare.startswith("%run "):
            yield Part("shell", number, f"python {bare.removeprefix('%run ')}")
        python.append("" if bare.startswith(("!", "%")) else line)
    if any(line.strip() for line in python):
        yield Part("python", 1, "\n".join(python))
