"""What the rules of lint see of a command, and what they say.

A command is read once, for all rules: its simple commands, and those of them that start an
experiment or a script (`Launch`). A command without quotes, expansions and operators is split at
its blanks and never meets the grammar.
"""

import re
from collections.abc import Iterator, Mapping
from posixpath import basename, isabs, join, normpath
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tallystick.shell import lint_script
from tallystick.shell.lint_script import Script
from tallystick.shell.parse import parse
from tallystick.shell.syntax import Assignment, Command, Parsed, Span, Statement, Word
from tallystick.shell.verdicts import Around

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./=,:@%+{} -]*")
"""Nothing in it means anything to a shell but blanks; braces only with a comma between."""
_BRACES: Final = re.compile(r"\{[^{} ]*(?:,|\.\.)[^{} ]*\}")
_WORD: Final = re.compile(r"[^ ]+")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_PYTHON: Final = re.compile(r"(?:python|pypy)[0-9.]*(?:t|w)?")
_SCRIPT: Final = re.compile(r"[^-].*\.(?:py|pyc|ipynb)", re.DOTALL)
_SHELLS: Final = frozenset({"bash", "sh", "dash", "zsh", "ksh"})
_LAUNCHERS: Final = frozenset(
    {"torchrun", "accelerate", "deepspeed", "horovodrun", "composer", "colossalai", "ipython"}
)
_WRAPPERS: Final = frozenset({
    "env", "nohup", "setsid", "exec", "command", "builtin", "time", "nice", "ionice", "chrt",
    "taskset", "numactl", "stdbuf", "unbuffer", "timeout", "sudo", "xvfb-run", "caffeinate",
    "uv", "poetry", "pdm", "pipenv", "hatch", "pixi", "rye", "conda", "mamba", "micromamba",
    "srun", "mpirun", "mpiexec", "xargs", "parallel", "strace", "catchsegv", "nsys", "ncu",
})  # fmt: skip
"""They run the rest of their words; where it begins is seen by the program that is found there."""
_PYTHON_TAKES: Final = frozenset({"-W", "-X", "--check-hash-based-pycs"})
_SHELL_TAKES: Final = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})


class LintFinding(NamedTuple):
    """One thing about a command that costs something later. It refuses nothing (P5.2)."""

    code: str
    """`R101` and so on; what a code means never changes."""
    name: str
    """The code in words: `no-seed`."""
    detail: str
    """What was found. No secret is repeated in it."""
    hint: str
    """What to do instead."""
    span: tuple[int, int] | None = None
    """The place in the command, in characters; None when it is about what is not there."""


class Launch(NamedTuple):
    """A simple command that starts a script, a module or inline code."""

    command: Command
    kind: str
    """python, shell, notebook or program."""
    program: str
    """The name of the program that is given the script: `torchrun`, `python3`."""
    script: Word | None = None
    module: str | None = None
    code: str | None = None
    """Inline code, or what a here-document feeds to it."""
    arguments: tuple[Word, ...] = ()
    """Behind the script."""
    options: tuple[Word, ...] = ()
    """Of the program, before the script."""
    says: Script | None = None
    """What its text says; None when it is no Python, or cannot be read."""
    directory: str | None = None
    """Where it starts, relative or absolute, or None when a `cd` cannot be read; "." at first."""

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        if self.script is not None:
            return basename(self.script.text or self.script.raw)[:80]
        return (self.module or self.program)[:80]


class Seen(NamedTuple):
    """A command as the rules see it."""

    text: str = ""
    parsed: Parsed = Parsed()
    launches: tuple[Launch, ...] = ()
    workdir: str | None = None
    params: Mapping[str, Any] = MappingProxyType({})
    around: Around | None = None
    """None: no file can be read, and nothing is said about files."""
    many: bool = False
    """Whether several runs are made of this command."""
    depth: int = 0
    """How many scripts and `bash -c` are around it."""
    pipefail: bool = False
    """Whether a pipeline fails with any of its commands."""

    def path_of(self, launch: Launch, name: str) -> str | None:
        """The absolute path of a file that a launch names; None when that is not certain."""
        if isabs(name):
            return normpath(name)
        root = self.workdir or (self.around.cwd if self.around is not None else None)
        if root is None or launch.directory is None or name.startswith("~"):
            return None
        return normpath(join(root, launch.directory, name))

    def content(self, launch: Launch, name: str | None) -> str | None:
        """The text of a file that a launch names; None when it cannot be read."""
        path = self.path_of(launch, name) if name else None
        if path is None or self.around is None:
            return None
        found = self.around.read(path)
        return None if found is None else found.decode("utf-8", "replace")

    def looking_at(self, text: str) -> "Seen":
        """The same for another text, with what its scripts say."""
        parsed = _by_blanks(text) or parse(text)
        seen = self._replace(text=text, parsed=parsed, launches=tuple(_launches(parsed)))
        told = (launch._replace(says=seen.says_of(launch)) for launch in seen.launches)
        return seen._replace(launches=tuple(told))

    def says_of(self, launch: Launch) -> Script | None:
        """What the Python of a launch says."""
        if launch.kind != "python":
            return None
        source = launch.code
        if launch.module is not None:
            source = self.content(launch, launch.module.replace(".", "/") + ".py")
        elif launch.script is not None:
            source = self.content(launch, launch.script.text)
        return None if source is None else lint_script.read(source)


def _by_blanks(text: str) -> Parsed | None:
    """A command that is nothing but words; None when a shell would see more in it."""
    if _PLAIN.fullmatch(text) is None or _BRACES.search(text) is not None:
        return None
    words = [Word(match[0], match[0], match.span()) for match in _WORD.finditer(text)]
    if not words:
        return Parsed()
    assigned: list[Assignment] = []
    while words and (match := _ASSIGNMENT.match(words[0].raw)) is not None:
        word = words.pop(0)
        value, start = word.raw[match.end() :], word.span[0] + match.end()
        assigned.append(Assignment(match[1], Word(value, value, (start, word.span[1]))))
    if words and words[0].raw in _RESERVED:
        return None
    span: Span = (len(text) - len(text.lstrip()), len(text.rstrip()))
    command = Command(tuple(words), span, tuple(assigned))
    return Parsed((command,), (Statement("command", span),))


_RESERVED: Final = frozenset({
    "{", "}", "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case",
    "esac", "function", "select", "time", "coproc", "in", "!", "export", "declare", "local",
    "readonly", "typeset", "unset",
})  # fmt: skip


def _launches(parsed: Parsed) -> Iterator[Launch]:
    """What starts something, with the directory that it starts in."""
    directory: str | None = "."
    for command in parsed.commands:
        name = program_of(command)
        if name in {"cd", "pushd", "popd"} and not command.in_substitution:
            directory = _moved(directory, command)
            continue
        found = _launch(command)
        if found is not None and not command.in_substitution:
            yield found._replace(directory=directory)


def _moved(directory: str | None, command: Command) -> str | None:
    """The directory after a `cd`."""
    words = [word for word in command.words[1:] if word.raw != "--"]
    target = words[0].text if len(words) == 1 else None
    if target is None or directory is None or target.startswith(("-", "~")):
        return None
    return join(directory, target)


def program_of(command: Command) -> str:
    """The name of a command's program, without its directory; empty when it is not certain."""
    return basename(command.words[0].text or "") if command.words else ""


def _launch(command: Command) -> Launch | None:
    """What a simple command starts, behind its wrappers."""
    words = command.words
    for place, word in enumerate(words):
        name = basename(word.text or "")
        if _PYTHON.fullmatch(name) or name in _LAUNCHERS:
            return _python(command, name, words[place + 1 :])
        if name in _SHELLS:
            return _shell(command, name, words[place + 1 :])
        if _SCRIPT.fullmatch(name) and "/" not in name[:-1]:
            return _direct(command, word, words[place + 1 :])
        if name.endswith(".sh"):
            return Launch(command, "shell", name, script=word, arguments=words[place + 1 :])
        if place == 0 and name not in _WRAPPERS:
            return _expanded(command, words)
    return None


def _direct(command: Command, word: Word, rest: tuple[Word, ...]) -> Launch:
    """A script that is a program itself, or is given to a wrapper that knows Python."""
    kind = "notebook" if word.raw.endswith(".ipynb") else "python"
    return Launch(command, kind, basename(word.raw), script=word, arguments=rest)


def _expanded(command: Command, words: tuple[Word, ...]) -> Launch | None:
    """`$PYTHON train.py`: an expansion that is given a Python script is Python."""
    if words[0].text is None and len(words) > 1 and _SCRIPT.fullmatch(words[1].text or ""):
        return Launch(command, "python", "python", script=words[1], arguments=words[2:])
    return None


def _python(command: Command, name: str, words: tuple[Word, ...]) -> Launch:
    """Python or a launcher of Python scripts: its script, module or code."""
    is_python = _PYTHON.fullmatch(name) is not None
    place = 0
    while place < len(words):
        word = words[place]
        text = word.text if word.text is not None else word.raw
        rest = words[place + 1 :]
        if text in {"-m", "--module"} and rest:
            return _module(command, name, rest, words[:place])
        if is_python and text == "-c" and rest:
            code = rest[0].text
            return Launch(command, "python", name, code=code or "", arguments=rest[1:])
        if is_python and not text.startswith("-"):
            return Launch(command, "python", name, word, arguments=rest, options=words[:place])
        if not is_python and (_SCRIPT.fullmatch(text) or (word.text is None and ".py" in text)):
            return Launch(command, "python", name, word, arguments=rest, options=words[:place])
        place += 2 if is_python and text in _PYTHON_TAKES else 1
    return Launch(command, "python", name, code=command.stdin, options=words)


def _module(
    command: Command, name: str, words: tuple[Word, ...], options: tuple[Word, ...]
) -> Launch:
    """`-m MODULE`; a launcher that is started so is looked through."""
    module = words[0].text or words[0].raw
    if module.startswith(("torch.distributed.", "accelerate.commands")):
        inner = _python(command, "torchrun", words[1:])
        return inner._replace(program=module)
    return Launch(command, "python", name, module=module, arguments=words[1:], options=options)


def _shell(command: Command, name: str, words: tuple[Word, ...]) -> Launch:
    """A shell: its script, or the text behind -c."""
    place = 0
    while place < len(words):
        word = words[place]
        text = word.text if word.text is not None else word.raw
        rest = words[place + 1 :]
        if re.fullmatch(r"-[a-z]*c", text) and rest:
            return Launch(command, "shell", name, code=rest[0].text or "", options=words[:place])
        if not text.startswith(("-", "+")):
            return Launch(command, "shell", name, word, arguments=rest, options=words[:place])
        place += 2 if text in _SHELL_TAKES else 1
    return Launch(command, "shell", name, code=command.stdin, options=words)
