"""What one command is, by its program: a shell, an interpreter, a wrapper, a launcher, a tool.

The order matters: what runs something else comes before what only has a name.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from tallystick.shell.launchers import launched
from tallystick.shell.names import (
    option_of_training,
    speaks_of_runs,
    speaks_of_training,
    stem,
    verb_of_training,
)
from tallystick.shell.programs import COMPILED_RUNS, LANGUAGES, OURS, SHELLS, TESTS, TOOLS
from tallystick.shell.python_words import (
    RUNNERS,
    is_python,
    profiled,
    python_steps,
    test_found,
)
from tallystick.shell.steps import (
    HOLE,
    Found,
    Input,
    Script,
    Step,
    Text,
    Words,
    basename,
    hole,
    is_known,
    shown,
    unknown,
    utility,
)
from tallystick.shell.targets import project_task, target_steps
from tallystick.shell.unwrap import subcommand, unwrap
from tallystick.shell.wordlist import word_set

Read = Callable[[str], str | None]

_SHELL_VALUES: Final = frozenset({"-O", "+O", "-o", "+o", "--rcfile", "--init-file"})
_QUESTIONS: Final = frozenset({"--version", "--help", "-h", "-V"})
_SCRIPT: Final = re.compile(r".*\.(?:py|pyw|sh|bash|zsh|ksh|slurm|sbatch|job|ipynb|R|jl)")
_CALLS: Final = re.compile(
    r"(?:system|popen|exec|execSync|spawn|qx|run)\s*(?:\(\s*)?[\"'`{]([^\"'`}]+)"
)
_LANGUAGE_VALUES: Final = {
    "julia": frozenset({"-t", "--threads", "-p", "-L", "--load", "-J", "-H"}),
    "java": frozenset({"-cp", "-classpath", "--class-path", "-p", "--module-path"}),
    "node": frozenset({"-r", "--require", "--import"}),
}
_BY_NAME: Final = frozenset({"matlab", "octave", "octave-cli"})
"""Languages whose code is a few names of scripts."""
_CALLED: Final = re.compile(r"[A-Za-z]\w*")
_BEHIND_PYTHON: Final = re.compile(r"[^-].*\.(?:py|ipynb)|-[a-zA-Z]*[cmuBIOsS]")
"""What shows that the word before it is an interpreter that is to run, and no name of a package."""
_PRINTED: Final = re.compile(r"<\(\s*cat\s+([^\s|;&<>()'\"$]+)\s*\)")
_SPAWNED: Final = re.compile(r"\bspawn\s+([^;\n]+)")
_OPEN_PROGRAM: Final = re.compile(r"\0[^\0]*\0")
_HARMLESS_VARIABLES: Final = word_set(
    "EDITOR VISUAL PAGER BROWSER SUDO GIT CC CXX MAKE CURL DOCKER COMPOSE KUBECTL NPM NODE RM SED "
    "GREP TAR TIME @ *"
)
_INSTALLS: Final = re.compile(
    r"install|setup|get[-.]|bootstrap|nvm|rustup|brew|uv|conda", re.IGNORECASE
)
_TASK_TOOLS: Final = ("uv", "uv run", "poetry run", "pdm run", "pdm", "pixi run", "pixi",
    "hatch run",
                      "rye run", "rye", "poe", "pipenv run")  # fmt: skip


def recognize(
    words: Sequence[str], stdin: Input, read: Read, *, tests_are_runs: bool, via: str
) -> list[Step]:
    """What a command does, or runs. `via` is the wrapper that it was found in, if any."""
    name = basename(words[0])
    if name in OURS:
        return [utility("tally registers what it runs itself")]
    if is_python(words[0]):
        return python_steps(words, stdin, tests_are_runs=tests_are_runs)
    if HOLE in words[0] and (found := _open_program(words, stdin, tests_are_runs=tests_are_runs)):
        return found
    for look in (_shell, _evaluates, _launched, _unwrapped):
        if (found := look(name, words, stdin)) is not None:
            return found
    if name in TESTS:
        return [test_found((name, *words[1:]), tests_are_runs=tests_are_runs)]
    if name in RUNNERS and len(words) > 1:
        return profiled(name, words[1:])
    found = target_steps(words, read)
    if found is None and via in _TASK_TOOLS:
        found = project_task(via, words[0], read)
    if found is None and name == "pdm" and len(words) > 1:
        found = project_task(name, words[1], read)
    return found if found is not None else _by_name(name, words, via)


def _launched(_name: str, words: Sequence[str], _stdin: Input) -> list[Step] | None:
    found = launched(words)
    return None if found is None else [found]


def _unwrapped(_name: str, words: Sequence[str], stdin: Input) -> list[Step] | None:
    return unwrap(words, stdin)


def _by_name(name: str, words: Sequence[str], via: str) -> list[Step]:
    """What is left: scripts, other languages, tools, programs that nobody knows."""
    if via.startswith("hatch") and ":" in words[0]:
        return [Words((words[0].partition(":")[2], *words[1:]), "")]
    if name in LANGUAGES and (found := _language(name, words)) is not None:
        return found
    if name in COMPILED_RUNS and (found := _compiled(name, words)) is not None:
        return found
    if name in {"kubectl", "oc", "k"} and (applied := _applied(words)) is not None:
        return [applied]
    if (
        name in {"docker", "podman", "docker-compose"}
        and (up := _composed(name, words)) is not None
    ):
        return [up]
    if name in TOOLS:
        return [utility(f"{name} is a tool")]
    if _SCRIPT.fullmatch(words[0]) or "/" in words[0]:
        if any(word in {"--help", "--version"} for word in words[1:]):
            return [utility(f"{shown(name)} only answers a question")]
        language = "python" if name.endswith((".py", ".pyw", ".ipynb")) else ""
        return [Script(words[0], language, tuple(words[1:]))]
    return [_named_program(name, words)]


def _named_program(name: str, words: Sequence[str]) -> Step:
    """A program that nobody knows: a command in its words, its name and its options decide."""
    if _QUESTIONS & set(words[1:2]):
        return utility(f"{shown(name)} only answers a question")
    for place, word in enumerate(words[1:-1], start=1):
        if is_python(word) and _BEHIND_PYTHON.fullmatch(words[place + 1]):
            return Words(tuple(words[place:]), shown(name))
    if " " not in name and speaks_of_training(name):
        return unknown("program", f"runs {shown(name)}, whose name speaks of an experiment")
    given = words if name.startswith("-") else words[1:]
    said = verb_of_training(given) or option_of_training(given)
    return unknown("program", f"runs {shown(name)} with {said}") if said else utility()


def _shell(name: str, words: Sequence[str], stdin: Input) -> list[Step] | None:
    """A shell: text behind `-c`, a script, or what it is fed."""
    if name == "busybox" and len(words) > 1:
        return [Words(tuple(words[1:]))]
    if name not in SHELLS:
        return None
    at = 1
    while at < len(words) and words[at][:1] in {"-", "+"} and words[at] not in {"-", "--"}:
        word = words[at]
        if word in _QUESTIONS or word in {"-n", "--norc-check"}:
            return [utility(f"{name} {word} runs nothing")]
        if re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*", word) and not word.startswith("--"):
            rest = list(words[at + 1 :])
            while rest and rest[0][:1] == "-" and len(rest) > 1:
                rest.pop(0)
            return [_text(rest[0], f"{name} -c", rest[1:])] if rest else [utility()]
        at += 2 if word in _SHELL_VALUES else 1
        if "s" in word and not word.startswith("--") and stdin.is_given:
            return _fed(name, stdin, words[at:])
    at += 1 if words[at : at + 1] in (["-"], ["--"], ("-",), ("--",)) else 0
    if at >= len(words) or words[at] == "/dev/stdin":
        return _fed(name, stdin, ())
    return [Script(words[at], "sh", tuple(words[at + 1 :]))]


def _text(text: str, via: str, words: Sequence[str]) -> Step:
    """A shell text; one that is open altogether cannot be judged."""
    if _OPEN_PROGRAM.fullmatch(text.strip()):
        inner = text.strip()[1:-1]
        if inner.startswith("(") or inner in {"@", "*"}:
            return utility("what prints the text was looked at by itself")
        return unknown("inline_code", f"{via} runs ${inner}, which only a shell could tell")
    return Text(text, via, words=tuple(words))


def _fed(name: str, stdin: Input, words: Sequence[str]) -> list[Step]:
    """A shell that reads its commands."""
    if stdin.text is not None:
        return [Text(stdin.text, f"{name} (standard input)", words=(name, *words))]
    if stdin.path is not None:
        return [Script(stdin.path, "sh", tuple(words))]
    if stdin.source is None:
        return [utility("an interactive shell")]
    program, _, rest = stdin.source.partition(" ")
    if basename(program) in {"curl", "wget"}:
        last = rest.rstrip("/").rsplit("/", 1)[-1]
        if _INSTALLS.search(rest) or not speaks_of_runs(last):
            return [utility("installs something")]
    if basename(program) in {"ssh-agent", "conda", "kubectl", "brew"}:
        return [utility()]
    return [unknown("inline_code", f"{name} is fed by {program}: what it runs is not here")]


def _evaluates(name: str, words: Sequence[str], stdin: Input) -> list[Step] | None:
    """`eval`, `source` and `.`."""
    if name == "eval":
        return [_text(" ".join(words[1:]), "eval", ())] if len(words) > 1 else [utility()]
    if name not in {"source", "."} or len(words) < 2:
        return None
    if words[1] == "/dev/stdin":
        return _fed(name, stdin, ())
    if (printed := _PRINTED.fullmatch(words[1])) is not None:
        return [Script(printed[1], "sh", tuple(words[2:]), sourced=True)]
    if words[1].startswith("<("):
        return [utility("what prints the text was looked at by itself")]
    return [Script(words[1], "sh", tuple(words[2:]), sourced=True)]


def _open_program(words: Sequence[str], stdin: Input, *, tests_are_runs: bool) -> list[Step] | None:
    """A program in a variable that nothing sets; None when enough of its name is known."""
    if _OPEN_PROGRAM.fullmatch(words[0]) is None:
        return None
    variable = words[0][1:-1]
    if any(word.endswith((".py", ".ipynb")) for word in words[1:3]):
        return python_steps(("python", *words[1:]), stdin, tests_are_runs=tests_are_runs)
    if words[1:2] == ["-m"] or tuple(words[1:2]) == ("-m",):
        return python_steps(("python", *words[1:]), stdin, tests_are_runs=tests_are_runs)
    if option_of_training(words[1:]):
        return [unknown("program", f"runs ${variable}, which only a shell could tell")]
    if variable in _HARMLESS_VARIABLES or variable.startswith("("):
        return [utility()]
    if speaks_of_runs(variable) or re.search(r"(?i)cmd|command|job", variable):
        return [unknown("program", f"runs ${variable}, which only a shell could tell")]
    return [utility()]


def _language(name: str, words: Sequence[str]) -> list[Step] | None:
    """Another language: code behind its option, or a script."""
    options = LANGUAGES[name]
    words = _without_values(name, words)
    for place, word in enumerate(words[1:], start=1):
        option, _, value = word.partition("=")
        joined = name == "perl" and re.fullmatch(r"-[a-z0-9]*e", word)
        if option in options or joined:
            code = value or (words[place + 1] if place + 1 < len(words) else "")
            return _in_language(name, code)
        if not word.startswith("-"):
            break
    if name in {"awk", "gawk"}:
        return _in_language(name, " ".join(words[1:2]))
    if name in {"R", "stata"} and words[1:2] and words[1] in {"CMD", "-b"}:
        words = (name, *[word for word in words[2:] if word not in {"BATCH", "do"}])
    plain = [word for word in words[1:] if not word.startswith("-")]
    if name in {"deno", "bun"} and plain[:1] == ["run"]:
        plain = plain[1:]
    if name in {"deno", "swift", "java"} and plain and "." not in plain[0]:
        return None
    return [Script(plain[0], "text", tuple(plain[1:]))] if plain else [utility()]


def _without_values(name: str, words: Sequence[str]) -> Sequence[str]:
    """The words without those that are values of options: `julia -t 4 run.jl`."""
    valued = _LANGUAGE_VALUES.get(name, frozenset())
    return [
        word for place, word in enumerate(words) if place == 0 or words[place - 1] not in valued
    ]


def _in_language(name: str, code: str) -> list[Step]:
    """Code in another language: what it starts, and whether it speaks of training."""
    pattern = _SPAWNED if name == "expect" else _CALLS
    steps: list[Step] = [Text(each, name) for each in pattern.findall(code)[:20]]
    named = name in _BY_NAME and any(map(speaks_of_runs, _CALLED.findall(code)))
    if name not in {"awk", "gawk", "perl"} and (named or text_speaks_of_training(code)):
        steps.append(unknown("inline_code", f"runs {name} code that speaks of training"))
    return steps or [utility()]


_TRAINS: Final = re.compile(
    r"\b(?:train|fit|lm|glm|xgboost|keras|torch|caret|randomForest|backward|Flux|Lux|optimi[sz]e|"
    r"crossval|fitcnet|trainNetwork|trainnet|benchmark|btime|microbenchmark)!?\s*[\(.:]|"
    r"library\((?:torch|keras|caret|xgboost|tidymodels|brms|rstan)|using (?:Flux|Lux|MLJ|Turing)|"
    r"tfjs|brain\.js|onnxruntime.{0,80}train|for\s{0,9}\(?\s{0,9}epoch",
)


def text_speaks_of_training(text: str) -> bool:
    """Whether text in some other language has words of training or of benchmarks in it."""
    return _TRAINS.search(text) is not None


def _compiled(name: str, words: Sequence[str]) -> list[Step] | None:
    """`cargo run`, `go run`, `cargo bench`: names and options decide."""
    at, first = subcommand(name, words)
    if first not in COMPILED_RUNS[name]:
        if name == "go" and first == "test" and any("-bench" in word for word in words):
            return [unknown("program", "go test -bench measures a benchmark")]
        return None
    rest = [shown(word) for word in words[at + 1 :]]
    for word in rest:
        if speaks_of_training(stem(word)) or option_of_training([word]):
            return [unknown("program", f"{name} {first} {word} speaks of an experiment")]
    return [utility()]


def _applied(words: Sequence[str]) -> Found | None:
    """`kubectl apply -f train-job.yaml`."""
    if not {"apply", "create", "replace"} & set(words[1:]):
        return None
    for word in words[1:]:
        if word.endswith((".yaml", ".yml", ".json")) and speaks_of_training(stem(word)):
            return unknown("remote", f"applies {shown(basename(word))} to a cluster")
    return None


def _composed(name: str, words: Sequence[str]) -> Found | None:
    """`docker compose up train`, `docker start trainer`."""
    plain = [word for word in words[1:] if not word.startswith("-")]
    if not {"up", "start"} & set(plain[:3]):
        return None
    place = next(at for at, word in enumerate(plain) if word in {"up", "start"})
    for service in plain[place + 1 :]:
        if speaks_of_training(service):
            return unknown("remote", f"{name} starts {shown(service)}")
    return None


def filled(word: str) -> str:
    """A word with a hole for the place that a loop fills."""
    return word if is_known(word) else hole(shown(word))
