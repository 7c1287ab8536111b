"""The recipes of justfiles, Taskfiles, package.json, tasks.py and the task tables of TOML files.

Read by their lines, as far as such files are mostly written; a template's braces stay open.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from tallystick.shell.steps import hole

ENTRY_POINT: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
"""`package.module:function`, what `[project.scripts]` holds."""
_RECIPE: Final = re.compile(r"@?([A-Za-z_][\w-]*)((?:\s[^:]*)?):(?!=)(.*)")
_SETTING: Final = re.compile(r"(?:export\s+)?([A-Za-z_][\w-]*)\s*:=\s*(.*)")
_BRACES: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_QUOTED: Final = re.compile(r"\"((?:\\.|[^\"\\])*)\"|'([^']*)'")
_MOST_DEEP: Final = 6
_LONGEST: Final = 2_048
"""A longer line is no recipe that people write."""


class Recipe(NamedTuple):
    """What one recipe runs."""

    text: str
    is_python: bool


class Justfile:
    """The recipes of a justfile."""

    def __init__(self, text: str) -> None:
        self._bodies: dict[str, list[str]] = {}
        self._needs: dict[str, list[str]] = {}
        self._parameters: dict[str, list[str]] = {}
        self._settings: dict[str, str] = {}
        name: str | None = None
        for line in (each[:_LONGEST] for each in text.replace("\\\n", " ").split("\n")):
            if line[:1] in {" ", "\t"} and name is not None:
                self._bodies[name].append(line)
            elif (match := _SETTING.fullmatch(line.strip())) is not None:
                self._settings[match[1]] = match[2].strip("\"'` ")
            elif (match := _RECIPE.match(line)) is not None:
                name = match[1]
                self._bodies[name] = []
                self._parameters[name] = match[2].split()
                self._needs[name] = re.findall(r"[A-Za-z_][\w-]*", match[3].partition("#")[0])

    def has(self, name: str) -> bool:
        """Whether there is such a recipe."""
        return name in self._bodies

    def first(self) -> list[str]:
        """The recipe that runs when none is named."""
        return ["default"] if "default" in self._bodies else list(self._bodies)[:1]

    def recipes(self, name: str, words: Sequence[str]) -> Iterator[Recipe]:
        """A recipe behind those it needs. `words` are those of the command line: what stands behind
        the name fills its parameters.
        """
        given = list(words[words.index(name) + 1 :]) if name in words else []
        stack, seen = [name], {name}
        order: list[str] = []
        while stack:
            each = stack.pop()
            order.append(each)
            needs = [need for need in self._needs[each] if need in self._bodies]
            stack += [need for need in needs if need not in seen]
            seen |= set(needs)
        for each in reversed(order):
            yield self._recipe(each, given if each == name else [])

    def _recipe(self, name: str, given: list[str]) -> Recipe:
        """One recipe with its parameters filled in."""
        values = dict(self._settings)
        for place, parameter in enumerate(self._parameters[name]):
            plain, _, default = parameter.lstrip("+*$").partition("=")
            rest = given[place:] if parameter[:1] in {"+", "*"} else given[place : place + 1]
            values[plain] = " ".join(rest) if rest else default.strip("\"'") or hole(plain)
        lines = [line.strip() for line in self._bodies[name]]
        lines = [_BRACES.sub(lambda match: values.get(match[1], hole("value")), line)
                 for line in lines]  # fmt: skip
        is_script = bool(lines) and lines[0].startswith("#!")
        is_python = is_script and "python" in lines[0]
        if is_python:
            indent = len(self._bodies[name][0]) - len(self._bodies[name][0].lstrip())
            return Recipe("\n".join(line[indent:] for line in self._bodies[name]), is_python=True)
        return Recipe("\n".join(line.lstrip("@-") for line in lines), is_python=False)


def taskfile_commands(text: str, name: str) -> str | None:
    """The commands of a task in a Taskfile, with those of the tasks it needs; None for no task."""
    found = _taskfile(text, name, 0)
    return None if found is None else "\n".join(found)


def _taskfile(text: str, name: str, depth: int) -> list[str] | None:
    match = re.search(
        rf"^([ \t]+)[\"']?{re.escape(name)}[\"']?:[ \t]*(.*)\n((?:\1[ \t]+.*\n?|[ \t]*\n)*)",
        text,
        re.MULTILINE,
    )
    if match is None or depth > _MOST_DEEP:
        return None
    commands = [match[2]] if match[2] and not match[2].startswith(("[", "{", "#")) else []
    body = re.sub(r"^\s*(?:desc|summary|silent|sources|generates|dir|aliases)\b.*$", "", match[3],
                  flags=re.MULTILINE)  # fmt: skip
    for line in body.splitlines():
        stripped = line.strip().removeprefix("- ").strip()
        called = re.match(r"-?\s*(?:task:\s*|deps:\s*\[?)([\w:, -]+)", stripped)
        if called is not None:
            for each in re.split(r"[\s,]+", called[1]):
                commands += _taskfile(text, each, depth + 1) or [] if each else []
            continue
        stripped = re.sub(r"^(?:cmds?|vars|env|deps|cmd):\s*\|?-?\s*", "", stripped)
        filled = _BRACES.sub(lambda _match: hole("value"), stripped)
        is_list = filled.startswith("[") and filled.endswith("]")
        listed = filled[1:-1].split(",") if is_list else [filled]
        commands += [_unquoted(each.strip()) for each in listed]
    return commands


def _unquoted(text: str) -> str:
    """A YAML value without the quotes around the whole of it."""
    whole = _QUOTED.fullmatch(text)
    return text if whole is None else (whole[1] or whole[2] or "").replace('\\"', '"')


def package_scripts(text: str) -> Mapping[str, str]:
    """The scripts of a package.json."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    scripts = found.get("scripts") if isinstance(found, dict) else None
    if not isinstance(scripts, dict):
        return {}
    return {str(name): each for name, each in scripts.items() if isinstance(each, str)}


def invoke_commands(text: str, name: str) -> str | None:
    """What the function of a task gives to `run`; None when there is no such function."""
    function = name.rpartition(".")[2].replace("-", "_")
    match = re.search(
        rf"^def {re.escape(function)}\(.*\n((?:[ \t]+.*\n?|\s*\n)*)", text, re.MULTILINE
    )
    if match is None:
        return None
    given = re.findall(r"(?:run|sudo|local)\(\s*[frb]*(\"[^\"]*\"|'[^']*')", match[1])
    return "\n".join(re.sub(r"\{[^{}]*\}", hole("value"), each[1:-1]) for each in given)


def toml_task(text: str, name: str) -> str | None:
    """The command of a task or script in a TOML file; None when none has that name.

    Looked for by its name before a `=` in a table whose name ends in scripts or tasks, or as a
    table of its own with a `cmd`.
    """
    table = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            table = stripped.strip("[]").replace('"', "")
            continue
        key, equals, value = stripped.partition("=")
        if not equals:
            continue
        key = key.strip().strip("\"'")
        owner, _, last = table.rpartition(".")
        is_tasks = last in {"scripts", "tasks"}
        own = last == name and owner.endswith(("scripts", "tasks")) and key in {"cmd", "shell"}
        if (is_tasks and key == name) or own:
            return _first_text(value)
    return None


def _first_text(value: str) -> str | None:
    """The command in a TOML value: the text, the texts of a list, or the `cmd` of a table."""
    value = value.strip()
    if value.startswith("{"):
        match = re.search(r"(?:cmd|shell|composite)\s*=\s*(.*)", value)
        value = match[1] if match else ""
    found = [one or other for one, other in _QUOTED.findall(value)]
    if not found:
        return None
    return " ".join(found) if value.startswith("[") else found[0]
