"""Follows a shell text through its commands, wrappers and scripts to the strongest finding.

The only place that recurses: every other module answers in steps. Each way down costs a level
(`DEEPEST`), each command a look (`scene.MOST_LOOKS`), each script a file (`scene.MOST_FILES`), so
that any text ends.
"""

import fnmatch
from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Final, NamedTuple

from tallystick.shell.names import (
    option_of_training,
    speaks_of_runs,
    speaks_of_training,
    stem,
    verb_of_training,
)
from tallystick.shell.programs import SHELLS, TOOLS
from tallystick.shell.recognize import recognize, text_speaks_of_training
from tallystick.shell.scene import Scene
from tallystick.shell.steps import (
    Code,
    Found,
    Input,
    Script,
    Step,
    Text,
    Words,
    basename,
    experiment,
    is_known,
    shown,
    unknown,
    utility,
)
from tallystick.shell.syntax import Command, Loop, Parsed
from tallystick.shell.triggers import could_matter
from tallystick.shell.verdicts import Rules, Verdict

DEEPEST: Final = 6
"""Shell texts within shell texts; what is nested deeper cannot be inspected."""
_MOST_WRAPPERS: Final = 24
_MOST_VALUES: Final = 24
"""Values of loops that are tried for one command."""
_DECLARING: Final = frozenset(
    {"export", "declare", "typeset", "local", "readonly", "unset", "set", "shift", "return", "exit"}
)
_LEAVING: Final = frozenset({"tee", "cp", "mv"})
_MOVING: Final = frozenset({"cd", "pushd", "popd", "chdir"})
_STRENGTH: Final = {Verdict.UTILITY: 0, Verdict.UNKNOWN: 1, Verdict.EXPERIMENT: 2}
_PYTHON_LINE: Final = ("python", "uv run", "pypy")


class Outcome(NamedTuple):
    """A finding and where it was found."""

    found: Found
    span: tuple[int, int] | None = None
    """In the text at hand; None when it is about the whole."""
    via: tuple[str, ...] = ()
    exact: bool = True

    def beyond(self, via: str) -> "Outcome":
        """As seen from outside a wrapper or script."""
        return self._replace(via=(via, *self.via)) if via else self


NOTHING: Final = Outcome(utility())


def stronger(one: Outcome, other: Outcome) -> Outcome:
    """The outcome with the stronger verdict; the first of equals, but a rule's over no reason."""
    difference = _STRENGTH[other.found.verdict] - _STRENGTH[one.found.verdict]
    is_reason = difference == 0 and one.found.reason == "nothing" != other.found.reason
    return other if difference > 0 or is_reason else one


def follow_text(text: str, scene: Scene) -> Outcome:
    """The strongest finding in a shell text."""
    if scene.depth > DEEPEST:
        return Outcome(unknown("too_deep", f"is nested deeper than {DEEPEST} levels"))
    parsed = scene.budget.parse(text)
    if parsed is None:
        return _too_long(text)
    best = _too_long(text) if parsed.is_cut else Outcome(utility(), exact=parsed.exact)
    for command in parsed.commands:
        if not scene.budget.look():
            return stronger(best, _too_long(text))
        scene.enter(command)
        for found in _follow_command(command, parsed, scene):
            best = stronger(best, found._replace(span=command.span, exact=parsed.exact))
        if best.found.verdict is Verdict.EXPERIMENT:
            break
    return best


def _too_long(text: str) -> Outcome:
    """For a text that is not read to its end: unknown, unless nothing in it could matter."""
    if could_matter(text):
        return Outcome(unknown("too_long", "holds more than is looked into"), exact=False)
    return Outcome(utility(), exact=False)


def _follow_command(command: Command, parsed: Parsed, scene: Scene) -> Iterator[Outcome]:
    """What one command does; once for each value of the loops that it uses."""
    if not command.words:
        scene.assign(command.assigned)
        return
    loops = _loops_of(command, parsed)
    values = [[_looped(scene, loop, place) for place in range(len(loop.values))] for loop in loops]
    kept = scene.variables
    names = [loop.variable for loop in loops]
    for chosen in islice(product(*values), _MOST_VALUES):
        scene.variables = {**kept, **dict(zip(names, chosen, strict=True))}
        found = _follow_resolved(command, parsed, scene)
        yield found
        if found.found.verdict is Verdict.EXPERIMENT:
            break
    if loops:
        scene.variables = kept


def _loops_of(command: Command, parsed: Parsed) -> list[Loop]:
    """The loops around a command whose variables it uses."""
    if not parsed.loops:
        return []
    used = {
        piece.value.partition(":-")[0]
        for word in (*command.words, *filter(None, (command.stdin_word, command.stdin_file)))
        for piece in word.pieces
        if piece.kind == "variable"
    }
    start = command.span[0]
    return [
        loop
        for loop in parsed.loops
        if loop.variable in used and loop.values and loop.span[0] <= start < loop.span[1]
    ][:3]


def _looped(scene: Scene, loop: Loop, place: int) -> str:
    """One value of a loop."""
    return " ".join(scene.resolve(loop.values[place]))


def _follow_resolved(command: Command, parsed: Parsed, scene: Scene) -> Outcome:
    """A command whose words are resolved."""
    words = scene.resolve_all(command.words)
    while words and words[0] in {"!", "{", "}"}:
        words.pop(0)
    if not words:
        return NOTHING
    if words[0] in _DECLARING:
        scene.assign(command.assigned)
        return NOTHING
    if words[0] in _MOVING:
        scene.change(words)
        return NOTHING
    if command.assigned:
        inner = scene.inner(deeper=False)
        inner.assign(command.assigned)
        scene = inner
    if command.into is not None or words[0] in _LEAVING:
        scene.leave(words, command)
    if words[0] in parsed.functions:
        return _function(words, scene)
    return _follow_words(words, scene, _input(command, parsed, scene), "", 0)


def _function(words: Sequence[str], scene: Scene) -> Outcome:
    """A function of the same text: its body was looked at; its arguments may be a command."""
    if len(words) > 1 and basename(words[1]).startswith(_PYTHON_LINE):
        return _follow_words(words[1:], scene, Input(), "", 0).beyond(words[0])
    return NOTHING


def _input(command: Command, parsed: Parsed, scene: Scene) -> Input:
    """What a command reads."""
    if command.stdin is not None:
        return Input(text=command.stdin)
    if command.stdin_word is not None:
        return Input(text=" ".join(scene.resolve(command.stdin_word)))
    if command.stdin_file is not None:
        return Input(path=" ".join(scene.resolve(command.stdin_file)))
    if command.piped_from is None or not command.words:
        return Input()
    source = parsed.commands[command.piped_from]
    words = scene.resolve_all(source.words)
    if not words:
        return Input()
    plain = [word for word in words[1:] if not word.startswith("-")]
    if basename(words[0]) == "cat" and len(plain) == 1:
        return Input(path=plain[0])
    if words[0] in {"tee", "cat"} and source.piped_from is not None and source.stdin is None:
        return _input(source, parsed, scene) if source.piped_from < command.piped_from else Input()
    text = scene.printed(words, source)
    return Input(text=text) if text is not None else Input(source=shown(" ".join(words)))


def _follow_words(
    words: Sequence[str], scene: Scene, stdin: Input, via: str, wrapped: int
) -> Outcome:
    """A command as words, by the rules of the project, then by what is known of its program."""
    if wrapped > _MOST_WRAPPERS or (wrapped and not scene.budget.look()):
        return Outcome(unknown("too_deep", "is wrapped more often than is looked into"))
    rules = scene.budget.rules
    if (ruled := _ruled(words, rules)) is not None:
        return Outcome(ruled)
    steps = recognize(words, stdin, scene.read, tests_are_runs=rules.tests_are_runs, via=via)
    best = NOTHING
    for step in steps:
        best = stronger(best, _follow(step, scene, stdin, wrapped))
        if best.found.verdict is Verdict.EXPERIMENT:
            break
    return best


def _ruled(words: Sequence[str], rules: Rules) -> Found | None:
    """What the project's own rules say."""
    for pattern in rules.experiment:
        if fits(words, pattern):
            return experiment("project_rule", f"this project's rules name it: {pattern}")
    for pattern in rules.allow:
        if fits(words, pattern):
            return utility(f"this project's rules allow it: {pattern}", "allowed")
    return None


def fits(words: Sequence[str], pattern: str) -> bool:
    """Whether a command begins with the words of a pattern, or is like it as a whole."""
    wanted = pattern.split()
    if wanted and list(words[: len(wanted)]) == wanted:
        return True
    return any(sign in pattern for sign in "*?[") and fnmatch.fnmatchcase(" ".join(words), pattern)


def _follow(step: Step, scene: Scene, stdin: Input, wrapped: int) -> Outcome:
    """One step."""
    match step:
        case Found():
            return Outcome(step)
        case Words():
            return _follow_inner(step, scene, stdin, wrapped)
        case Text(text=text, via=via):
            inner = scene.inner(words=step.words, remote=step.remote, directory=step.directory)
            return follow_text(text, inner).beyond(via)
        case Script():
            return _follow_script(step, scene)
        case Code(text=text, name=name):
            return _follow_code(text, name, scene, reason="inline_code", path=None)


def _follow_inner(step: Words, scene: Scene, stdin: Input, wrapped: int) -> Outcome:
    """The command of a wrapper."""
    if step.remote or step.directory is not None:
        scene = scene.inner(remote=step.remote, directory=step.directory, deeper=False)
    given = stdin if step.stdin else Input()
    found = _follow_words(step.words, scene, given, step.via, wrapped + 1).beyond(step.via)
    program = basename(step.words[0]) if step.words else ""
    is_tool = (
        program in TOOLS | SHELLS or found.found.reason != "nothing" or "--version" in step.words
    )
    if step.computes and found.found == NOTHING.found and not is_tool:
        said = f"{step.via} gives {shown(program)} processors of a cluster"
        return Outcome(unknown("launcher", said), via=(step.via,))
    return found


def _follow_script(step: Script, scene: Scene) -> Outcome:
    """A file, by its language."""
    path = step.path
    rules = scene.budget.rules
    for pattern in rules.utility_scripts:
        absolute = scene.path(path) or path
        if fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(absolute, f"*/{pattern}"):
            return Outcome(utility(f"this project's rules allow the script: {pattern}", "allowed"))
    if step.language == "module":
        return _follow_module(step, scene)
    text = scene.read(path)
    language = step.language if text is None else _language(step, text)
    name = shown(path)
    if text is None:
        return Outcome(_unreadable(step, name))
    key = f"{path}\0{scene.cwd}"
    if key in scene.budget.open:
        return NOTHING
    scene.budget.open.add(key)
    try:
        if language == "python":
            return _follow_code(text, name, scene, reason="python_script", path=scene.path(path))
        if language == "sh":
            return _follow_shell(step, text, scene).beyond(name)
    finally:
        scene.budget.open.discard(key)
    if text_speaks_of_training(text) or speaks_of_training(stem(path)):
        return Outcome(unknown("script", f"runs {name}, which speaks of training or evaluation"))
    return NOTHING


def _follow_shell(step: Script, text: str, scene: Scene) -> Outcome:
    """A shell script that was read; a sourced one acts on the shell itself."""
    words = (scene.path(step.path) or step.path, *step.words)
    inner = scene.inner(words=words)
    found = follow_text(text, inner)
    if step.sourced:
        scene.variables, scene.cwd = inner.variables, inner.cwd
    return found


def _language(step: Script, text: str) -> str:
    """The language of a file, by what runs it, its ending, its first line."""
    first = text[:200].split("\n", 1)[0]
    if first.startswith("#!"):
        if "python" in first or "uv run" in first:
            return "python"
        if any(f"/{shell}" in first or f" {shell}" in first for shell in ("bash", "sh", "zsh")):
            return "sh"
        if step.language != "sh":
            return "text"
    if step.language:
        return step.language
    name = basename(step.path)
    if name.endswith((".py", ".pyw")):
        return "python"
    is_shell = name.endswith((".sh", ".bash", ".zsh", ".ksh", ".slurm", ".sbatch", ".job"))
    return "sh" if is_shell or "." not in name.lstrip(".") else "text"


def _unreadable(step: Script, name: str) -> Found:
    """A script that is not here, or may not be read."""
    if step.language == "python":
        return unknown("python_script", f"runs {name}, which cannot be read")
    if name.endswith((".py", ".ipynb")):
        return unknown("python_script", f"runs {name}, which cannot be read")
    if speaks_of_runs(stem(step.path)) or not is_known(stem(step.path)):
        reason = "shell_script" if step.language == "sh" or name.endswith(".sh") else "script"
        return unknown(reason, f"runs {name}, which cannot be read")
    said = verb_of_training(step.words) or option_of_training(step.words)
    if said and not step.language:
        return unknown("script", f"runs {name} with {said}, and it cannot be read")
    return utility()


def _follow_module(step: Script, scene: Scene) -> Outcome:
    """`python -m package.module`, when it is one of the project."""
    module = step.path
    name = f"python -m {shown(module)}"
    base = module.replace(".", "/")
    for root in ("", "src/"):
        for path in (f"{root}{base}/__main__.py", f"{root}{base}.py"):
            text = scene.read(path)
            if text is not None:
                absolute = scene.path(path)
                return _follow_code(text, name, scene, reason="python_module", path=absolute)
    return Outcome(unknown("python_module", f"runs {name}, which cannot be read"))


def _follow_code(text: str, name: str, scene: Scene, *, reason: str, path: str | None) -> Outcome:
    """Python text: its own signs, what it imports from the project, what it starts."""
    from tallystick.shell.python_code import signs  # noqa: PLC0415 - loads `ast`
    from tallystick.shell.python_project import Modules  # noqa: PLC0415 - likewise
    from tallystick.shell.python_weight import harmless, weigh  # noqa: PLC0415 - likewise

    plain = text.replace("\0", "_")
    found = signs(plain)
    best = NOTHING
    weighed = weigh(found, plain, name=name, reason=reason)
    if weighed is not None:
        best = Outcome(weighed)
    if found is None or best.found.verdict is Verdict.EXPERIMENT:
        return best
    modules = Modules(found, scene, name=name, reason=reason, path=path)
    for look in (modules.run_on_import, modules.called) if found.runs else (modules.run_on_import,):
        if (taken := look()) is not None:
            best = stronger(best, Outcome(taken))
    if found.runs:
        for started in _started(found.commands, scene):
            best = stronger(best, started.beyond(name))
    if found.runs and best is NOTHING and reason != "inline_code":
        return Outcome(harmless(name))
    return best


def _started(commands: Sequence[tuple[str, ...] | str], scene: Scene) -> Iterator[Outcome]:
    """What the programs are that Python text starts."""
    for command in commands:
        inner = scene.inner()
        if inner.depth > DEEPEST:
            return
        if isinstance(command, str):
            yield follow_text(command, inner)
        elif command and command[0]:
            yield _follow_words(command, inner, Input(), "", 0)
