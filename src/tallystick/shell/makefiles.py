"""The recipes of a Makefile, with its variables filled in; functions of make stay open."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tallystick.shell.names import parts
from tallystick.shell.steps import HOLE, hole

_RULE: Final = re.compile(r"([^\s:#=][^:=#]*)::?(?![=:])([^;]*)(?:;(.*))?$")
_VARIABLE: Final = re.compile(
    r"(?:export\s+|override\s+)?([A-Za-z_][\w.-]*)\s*(\?|:{1,3}|\+|!)?=\s*(.*)"
)
_USE: Final = re.compile(r"\$(?:\(([^()]*(?:\([^()]*\)[^()]*)*)\)|\{([^{}]*)\}|(\$)|(.))")
_CONDITION: Final = re.compile(r" *(?:ifdef|ifndef|ifeq|ifneq|else|endif)\b")
_LISTS: Final = re.compile(f"{HOLE}(?:wildcard|shell|realpath|abspath) ")
"""Functions that name files which are there already, mostly."""
_MOST_DEEP: Final = 8
_MOST_TARGETS: Final = 60
_MOST_TEXT: Final = 65_536
_LONGEST: Final = 8_192
"""A longer line is no rule that people write."""


class Makefile:
    """One file, read once; included files are not followed."""

    def __init__(self, text: str, given: Mapping[str, str]) -> None:
        self._variables: dict[str, str] = {}
        self._needs: dict[str, list[str]] = {}
        self._recipes: dict[str, list[str]] = {}
        self._order: list[str] = []
        self._read(text.replace("\\\n", " \\\n"))
        self._variables.update(given)

    def _read(self, text: str) -> None:
        """Every rule and variable."""
        targets: list[str] = []
        for line in (each[:_LONGEST] for each in _joined(text)):
            if line.startswith("\t"):
                for target in targets:
                    self._recipes[target].append(line[1:])
            elif _CONDITION.match(line) is not None:
                continue
            elif (match := _VARIABLE.match(line)) is not None:
                if match[2] == "+":
                    kept = self._variables.get(match[1], "")
                    self._variables[match[1]] = f"{kept} {match[3]}".strip()
                elif match[2] != "!":
                    self._variables[match[1]] = match[3]
                targets = []
            elif (match := _RULE.match(line)) is not None:
                targets = self._rule(match)
            elif line.strip() and not line.lstrip().startswith("#"):
                targets = [] if not line.startswith(" ") else targets

    def _rule(self, match: re.Match[str]) -> list[str]:
        """The targets of a rule, known from now on."""
        targets = self._filled(match[1], {}, 0).split()
        for target in targets:
            self._order.append(target)
            self._needs.setdefault(target, []).extend(_words(match[2].replace("|", " ")))
            self._recipes.setdefault(target, [])
            if match[3]:
                self._recipes[target].append(match[3])
        return targets

    def first(self) -> list[str]:
        """The target that is made when none is named."""
        goal = self._variables.get(".DEFAULT_GOAL")
        if goal:
            return goal.split()[:1]
        return [each for each in self._order if not each.startswith(".") and "%" not in each][:1]

    def recipe(self, target: str) -> str | None:
        """The shell text of a target and of all it needs, those first; None for an unknown one."""
        if self._rule_of(target) is None:
            return None
        texts: list[str] = []
        self._collect(target, texts, set())
        return "\n".join(texts)[:_MOST_TEXT]

    def _rule_of(self, target: str) -> str | None:
        """The rule that makes a target: its own, or a pattern."""
        if target in self._recipes:
            return target
        patterns = (each for each in self._recipes if "%" in each)
        return next((each for each in patterns if _stem(each, target) is not None), None)

    def _collect(self, target: str, texts: list[str], seen: set[str]) -> None:
        """The recipes of what a target needs, then its own. A name that only make could compute may
        be made by any rule with a pattern.
        """
        stack = [(target, False)]
        while stack and len(seen) < _MOST_TARGETS:
            name, is_ready = stack.pop()
            rule = self._rule_of(name)
            if rule is None:
                if HOLE in name and not _LISTS.match(name):
                    stack += [(each, False) for each in self._recipes if "%" in each]
                continue
            stem = _stem(rule, name) or ""
            own = {"@": name, "*": stem}
            needs = [self._filled(each, own, 0).replace("%", stem) for each in self._needs[rule]]
            needs = [each for need in needs for each in _words(need)]
            if is_ready:
                own |= {"<": needs[0] if needs else "", "^": " ".join(needs)}
                texts += (self._command(line, own) for line in self._recipes[rule])
            elif name not in seen:
                seen.add(name)
                stack.append((name, True))
                stack += [(each, False) for each in reversed(needs) if each not in seen]

    def _command(self, line: str, own: Mapping[str, str]) -> str:
        """One line of a recipe as the shell gets it."""
        return self._filled(line.lstrip().lstrip("@-+ "), own, 0)

    def _filled(self, text: str, own: Mapping[str, str], depth: int) -> str:
        """Variables put in; what make would compute stays open."""
        if depth > _MOST_DEEP or "$" not in text or len(text) > _MOST_TEXT:
            return text

        def value(match: re.Match[str]) -> str:
            if match[3]:
                return "$"
            name = match[1] or match[2] or match[4] or ""
            if name in own:
                return own[name]
            if name == "MAKE":
                return "make"
            if name in self._variables:
                return self._filled(self._variables[name], own, depth + 1)
            return _default(name)

        return _USE.sub(value, text)


def _words(text: str) -> list[str]:
    """The words of a text; white space within a function of make, or within a hole, parts none."""
    words: list[str] = []
    start, depth, is_open = 0, 0, False
    for at, letter in enumerate(f"{text} "):
        is_open ^= letter == HOLE
        depth += (letter == "(") - (letter == ")" and depth > 0)
        if letter.isspace() and (at == len(text) or (depth == 0 and not is_open)):
            words.append(text[start:at])
            start = at + 1
    return [word for word in words if word]


def _default(name: str) -> str:
    """A variable that the file does not set: an interpreter by its name, else open."""
    if set(parts(name)) & {"python", "py"} and " " not in name:
        return "python"
    return hole(name)


def _stem(pattern: str, target: str) -> str | None:
    """What `%` stands for; None when the pattern does not fit."""
    before, percent, behind = pattern.partition("%")
    if not percent or len(target) < len(before) + len(behind):
        return None
    if not (target.startswith(before) and target.endswith(behind)):
        return None
    return target[len(before) : len(target) - len(behind)]


def _joined(text: str) -> Iterator[str]:
    """Lines, those that end in a backslash put together."""
    kept = ""
    for line in text.split("\n"):
        line = line.rstrip("\r")  # noqa: PLW2901 - files of the other world
        if line.endswith("\\"):
            kept += line[:-1]
            continue
        yield kept + (line.strip() if kept else line)
        kept = ""
    if kept:
        yield kept
