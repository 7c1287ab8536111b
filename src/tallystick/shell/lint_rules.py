"""What makes a run hard to repeat or to tell from its neighbours: rules R102 to R108 of lint."""

import re
from collections.abc import Iterator, Mapping
from posixpath import dirname, isabs, join, normpath
from typing import Any, Final

from tallystick.shell.lint_seed import NO_TRAINING
from tallystick.shell.lint_seen import Launch, LintFinding, Seen, program_of
from tallystick.shell.syntax import Command, Word

_OUTPUT_FLAG: Final = re.compile(
    r"(?:-o|--?(?:(?:output|out|save|saving|logs?|logging|checkpoints?|ckpt|results?|work|run|exp)"
    r"[-_]?(?:dir|directory|path|folder|root)|output|out|results|logdir|savedir)"
    r"|(?:\w+\.)*(?:output_dir|out_dir|save_dir|log_dir|hydra\.run\.dir|default_root_dir))"
    r"(?:=(?P<value>.*))?",
    re.DOTALL,
)
_GENERIC_PATH: Final = re.compile(
    r"(?:(?:/tmp|\.|\.\.|out|outputs?|results?|runs?|logs?|ckpts?|checkpoints?|save[ds]?|models?"
    r"|experiments?|(?:metrics|results?|model|out|output|best|last|log|final|checkpoint)\.\w+)"
    r"(?:/+|$))+"
)
"""A path that any other run would be given too."""
_PLACEHOLDER: Final = re.compile(r"\{[A-Za-z_][\w.-]*\}")
_FETCHED: Final = re.compile(
    r"\b(?:git|wget|curl|cp|mv|tar|unzip|rsync|scp|ln|dvc|make|jupytext|nbconvert)\b"
)
_RANDOM_VARIABLES: Final = frozenset(
    {"RANDOM", "SRANDOM", "$", "EPOCHSECONDS", "EPOCHREALTIME", "SECONDS"}
)
_RANDOM_PROGRAM: Final = re.compile(
    r"\s*(?:date|mktemp|uuidgen|shuf|openssl\s+rand|head\b.*/dev/u?random)\b"
)
_READS_ANSWERS: Final = frozenset({"read", "mapfile", "readarray", "select"})
_NEEDS_STDIN: Final = frozenset({"xargs", "tee"})


def script_missing(seen: Seen) -> Iterator[LintFinding]:
    """R102: the script is not there."""
    if seen.around is None or seen.depth:
        return
    fetched = _FETCHED.search(seen.text) is not None or ">" in seen.text
    for launch in seen.launches:
        name = launch.script.text if launch.script is not None else None
        if launch.script is None or name is None or _PLACEHOLDER.search(name) or fetched:
            continue
        path = seen.path_of(launch, name)
        if path is None or set(name) & set("*?[") or name.startswith(("-", "/dev/")):
            continue
        if seen.around.read(path) is None:
            yield LintFinding(
                "R102", "script-missing", f"no file can be read at {path[:200]}",
                "name the script relative to the directory of the run, or send that directory "
                "(workdir)", launch.script.span,
            )  # fmt: skip


def script_elsewhere(seen: Seen) -> Iterator[LintFinding]:
    """R103: the script lies where the record of the run does not reach."""
    if seen.depth:
        return
    for launch in seen.launches:
        word = launch.script
        if word is None or (word.text is not None and "site-packages" in word.text):
            continue
        if word.text is None:
            found = _unknown_path(seen, launch, word)
        else:
            found = _outside(seen, word.text)
        if found is not None:
            yield LintFinding(
                "R103", "script-outside-workdir", found,
                "keep the script in the project and start the run there: its version is recorded "
                "with the run, so that it can be repeated", word.span,
            )  # fmt: skip


def _unknown_path(seen: Seen, launch: Launch, word: Word) -> str | None:
    """A path that an expansion decides, unless the command itself says what it is."""
    names = {piece.value.partition(":")[0] for piece in word.pieces if piece.kind == "variable"}
    known = {each.name for command in seen.parsed.commands for each in command.assigned}
    known |= {loop.variable for loop in seen.parsed.loops} | {"HOME", "PWD", "USER"}
    if all(piece.kind in {"text", "variable"} for piece in word.pieces) and names <= known:
        return None
    return f"which script {launch.program} starts is decided by {word.raw[:80]}"


def _outside(seen: Seen, name: str) -> str | None:
    """What is wrong with a path; None when nothing is."""
    if not isabs(name):
        return None
    path, root = normpath(name), None if seen.workdir is None else normpath(seen.workdir)
    if root is not None and _is_below(path, _project(seen, root)):
        return None
    if path.startswith(("/tmp/", "/var/tmp/", "/dev/shm/")):  # noqa: S108 - it is looked for
        return f"{path[:200]} lies where files are deleted"
    if root is None or path.startswith(("/dev/", "/proc/")):
        return None
    return f"{path[:200]} lies outside {root[:200]}"


def _project(seen: Seen, root: str) -> str:
    """The directory around a working directory whose state is recorded with it."""
    above = root
    while seen.around is not None and above != "/":
        if seen.around.read(join(above, ".git/HEAD")) is not None:
            return above
        above = dirname(above)
    return dirname(root) if dirname(root).count("/") > 1 else root


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def no_output(seen: Seen) -> Iterator[LintFinding]:
    """R104: the script writes files, and nothing in the command says where."""
    for launch in seen.launches:
        script = launch.says
        if script is None or next(outputs(launch), None) is not None:
            continue
        if _sets(launch, script.output_options, seen.params):
            continue
        if script.output_options:
            option = script.output_options[0]
            detail = f"{launch.name} takes {option}, and the command does not set it: the next run "
            hint = f"add {option} with a directory of this run's own ({option} runs/NAME)"
        elif script.fixed_output is not None:
            where = script.fixed_output[:80]
            detail = f"{launch.name} writes to {where} whatever the command says: the next run "
            hint = "give the script an option for its output directory, and set it in the command"
        else:
            continue
        detail += "writes over what this one wrote"
        yield LintFinding("R104", "no-output-directory", detail, hint, launch.command.span)


def _sets(launch: Launch, options: tuple[str, ...], params: Mapping[str, Any]) -> bool:
    """Whether an argument or a parameter sets one of the options, however its dashes are spelt."""
    plain = {option.replace("_", "-") for option in options}
    if any(f"--{name}".replace("_", "-") in plain for name in params):
        return True
    return any(word.raw.partition("=")[0].replace("_", "-") in plain for word in launch.arguments)


def outputs(launch: Launch) -> Iterator[Word]:
    """The words that say where output goes."""
    words = launch.arguments
    for place, word in enumerate(words):
        match = _OUTPUT_FLAG.fullmatch(word.raw)
        if match is None:
            continue
        if match["value"] is not None:
            yield word
        elif place + 1 < len(words) and not words[place + 1].raw.startswith("-"):
            yield words[place + 1]


def shared_output(seen: Seen) -> Iterator[LintFinding]:
    """R105: several runs would write to the same place."""
    several = seen.many or _PLACEHOLDER.search(seen.text) is not None
    if not several and not seen.params:
        return
    for launch in seen.launches:
        for word in outputs(launch):
            if word.text is None or _PLACEHOLDER.search(word.raw) is not None:
                continue
            path = word.text.partition("=")[2] if "=" in word.text else word.text
            if path in {"-", "/dev/null", "/dev/stdout", ""}:
                continue
            own = not several and any(str(value) in path for value in seen.params.values())
            if not own and (several or _GENERIC_PATH.fullmatch(path)):
                yield LintFinding(
                    "R105", "shared-output",
                    f"every run with other parameters would write to {path[:120]} too",
                    f"put a parameter into the path ({_with_parameter(path, seen.params)})",
                    word.span,
                )  # fmt: skip


def _with_parameter(path: str, params: Mapping[str, Any]) -> str:
    name = next(iter(params), "seed")
    return f"{path.rstrip('/')[:80]}/{name}-{{{name}}}"


def reads_stdin(seen: Seen) -> Iterator[LintFinding]:
    """R106: it waits for input, and a run has none."""
    for place, command in enumerate(seen.parsed.commands):
        if command.in_substitution or _is_fed(seen, place, command):
            continue
        what = _waits(command)
        if what is not None:
            yield _stdin_finding(what, command)
    for launch in seen.launches:
        place = seen.parsed.commands.index(launch.command)
        script = None if _is_fed(seen, place, launch.command) else launch.says
        if script is not None and script.reads_stdin:
            yield _stdin_finding(f"{launch.name} reads standard input", launch.command)


def _stdin_finding(what: str, command: Command) -> LintFinding:
    return LintFinding(
        "R106", "reads-stdin", f"{what}, which is empty in a run (/dev/null)",
        "name a file instead (--data FILE, or < FILE)", command.span,
    )  # fmt: skip


def _is_fed(seen: Seen, place: int, command: Command) -> bool:
    """Whether the standard input of a command is given in the line."""
    given = (command.stdin, command.stdin_word, command.stdin_file, command.piped_from)
    if any(each is not None for each in given) or "<" in seen.text:
        return True
    around = command.subshell
    return any(
        other.piped_from is not None and around is not None and other.subshell == around
        for other in seen.parsed.commands[:place]
    )


def _waits(command: Command) -> str | None:
    """What reads standard input in a command that is given none."""
    name = program_of(command)
    words = [word.raw for word in command.words[1:]]
    if name in _READS_ANSWERS and not {"-u", "-t"} & set(words):
        return f"{name} waits for a line of standard input"
    if name in _NEEDS_STDIN or (name == "cat" and (not words or words == ["-"])):
        return f"{name} reads standard input"
    if re.fullmatch(r"python[0-9.]*|bash|sh|zsh", name) and (not words or words[0] in {"-", "-s"}):
        return f"{name} reads its program from standard input"
    return None


def nondeterministic(seen: Seen) -> Iterator[LintFinding]:
    """R107: the command is another one each time that it is executed."""
    for launch in seen.launches:
        assigned = (each.value for each in launch.command.assigned)
        for word in (*launch.command.words, *assigned):
            if (what := _random_part(word)) is not None:
                yield _another(word, what)
                return
    for command in seen.parsed.commands:
        if command.words or not seen.launches:
            continue
        for each in command.assigned:
            what = _random_part(each.value)
            if what is not None and f"${each.name}" in seen.text.replace("{", ""):
                yield _another(each.value, what)
                return


def _another(word: Word, what: str) -> LintFinding:
    return LintFinding(
        "R107", "nondeterministic-launcher",
        f"{what} gives another value each time, and the record does not hold which",
        "write the value out: a parameter ({name}), or $TALLY_RUN_ID where a name of its own is "
        "needed", word.span,
    )  # fmt: skip


def _random_part(word: Word) -> str | None:
    """The part of a word that differs from one execution to the next."""
    for piece in word.pieces:
        if piece.kind == "variable" and piece.value in _RANDOM_VARIABLES:
            return f"${piece.value}"
        if piece.kind == "substitution" and (match := _RANDOM_PROGRAM.match(piece.value)):
            return f"$({match[0].split()[0]} …)"
        if piece.kind == "other" and re.search(r"\bRANDOM\b", piece.value):
            return "$RANDOM"
    return None


def hidden_grid(seen: Seen) -> Iterator[LintFinding]:
    """R108: one run holds several trials."""
    for loop in seen.parsed.loops:
        inside = [each for each in seen.launches if is_within(each, loop.span)]
        several = len(loop.values) > 1 or any(_spreads(value) for value in loop.values)
        if inside and several:
            what = f"the loop over {loop.variable} starts {inside[0].name} once for each value"
            yield _grid(what, loop.span)
            return
    for launch in seen.launches:
        words = [word.raw for word in launch.command.words]
        if words[0] in {"parallel", "xargs"}:
            yield _grid(
                f"{words[0]} starts {launch.name} once for each argument", launch.command.span
            )
            return
    yield from _repeated(seen)


def is_within(launch: Launch, span: tuple[int, int]) -> bool:
    """Whether a launch stands in a part of the command."""
    return span[0] <= launch.command.span[0] < span[1]


def _spreads(word: Word) -> bool:
    """Whether a word may become several."""
    return word.text is None or bool(set(word.raw) & set("{*?["))


def _repeated(seen: Seen) -> Iterator[LintFinding]:
    """The same script, started twice with other arguments."""
    first: dict[str, Launch] = {}
    for launch in seen.launches:
        if launch.kind != "python" or launch.script is None:
            continue
        known = first.setdefault(launch.script.raw, launch)
        if known is not launch and NO_TRAINING.search(launch.name) is None:
            yield _grid(f"{launch.name} is started more than once", launch.command.span)
            return


def _grid(what: str, span: tuple[int, int]) -> LintFinding:
    return LintFinding(
        "R108", "loop-hides-grid", f"{what}, and all of that is one run with one exit status",
        "declare a sweep, one run for each: tally convert shows the calls", span,
    )  # fmt: skip
