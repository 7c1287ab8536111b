"""Takes a wrapper off a command: what it runs, in steps.

`nohup`, `timeout`, `uv run`, `docker run`, `srun` and their kind by the tables of `wrappers.py`;
`xargs`, `parallel`, `find`, terminal multiplexers and the like by a few lines each.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tallystick.shell.names import speaks_of_training
from tallystick.shell.steps import (
    Input,
    Script,
    Step,
    Text,
    Words,
    basename,
    hole,
    shown,
    unknown,
    utility,
)
from tallystick.shell.wordlist import word_set
from tallystick.shell.wrappers import GLOBAL_VALUES, SUBCOMMANDS, WRAPPERS, Wrapper

_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_READING: Final = re.compile(r"(?:ba|z|da|k)?sh(?: -[els]+)?(?: --?)?(?: .*)?")
"""A shell that reads what it is fed."""
_FILLED: Final = re.compile(r"\{[0-9]*[./%#]*\}")
_NO_OPTIONS: Final[frozenset[str]] = frozenset()


def unwrap(words: Sequence[str], stdin: Input) -> list[Step] | None:
    """What a wrapper runs; None when the program is no wrapper."""
    name = basename(words[0])
    special = _SPECIAL.get(name)
    if special is not None and (found := special(words, stdin)) is not None:
        return found
    if name in SUBCOMMANDS:
        found = _with_subcommand(name, words)
        if found is not None:
            return found
    if name in WRAPPERS:
        return _peeled(WRAPPERS[name], words, 1, name)
    return None


def subcommand(name: str, words: Sequence[str]) -> tuple[int, str]:
    """The place and the text of the first word that is no option; the end and nothing for none."""
    valued = GLOBAL_VALUES.get(name, _NO_OPTIONS)
    at = 1
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in valued else 1
    return (at, words[at]) if at < len(words) else (len(words), "")


def _with_subcommand(name: str, words: Sequence[str]) -> list[Step] | None:
    """`uv run`, `docker compose run`, `ray job submit`: by the longer name first."""
    at, first = subcommand(name, words)
    table = SUBCOMMANDS[name]
    at_second = at + 1
    while at_second < len(words) and words[at_second].startswith("-"):
        at_second += 2 if words[at_second] in GLOBAL_VALUES.get(name, _NO_OPTIONS) else 1
    second = words[at_second] if at_second < len(words) else ""
    if f"{first} {second}" in table:
        return _peeled(table[f"{first} {second}"], words, at_second + 1, f"{name} {first} {second}")
    if first in table:
        return _peeled(table[first], words, at + 1, f"{name} {first}")
    return None


class _Peel(NamedTuple):
    """Where the command begins, and what the options before it said."""

    at: int
    texts: tuple[str, ...]
    directory: str | None
    entrypoint: str | None
    stops: bool


def _options(wrapper: Wrapper, words: Sequence[str], at: int) -> _Peel:
    """Past the options of a wrapper and its own words."""
    return _Peeler(wrapper, words, at).peel()


class _Peeler:
    """One look at the words of a wrapper."""

    def __init__(self, wrapper: Wrapper, words: Sequence[str], at: int) -> None:
        self._wrapper = wrapper
        self._words = words
        self._at = at
        self._own = wrapper.own
        self._texts: list[str] = []
        self._directory: str | None = None
        self._entrypoint: str | None = None
        self._stops = False

    def peel(self) -> _Peel:
        """Up to the first word of the command."""
        while self._at < len(self._words):
            word = self._words[self._at]
            if word == "--":
                self._at += 1
                break
            if word.startswith("-") and word != "-":
                self._option(word)
            elif self._is_command(word):
                break
        at = self._at + self._own
        at += self._words[at : at + 1] in (["--"], ("--",))
        return _Peel(at, tuple(self._texts), self._directory, self._entrypoint, self._stops)

    def _is_command(self, word: str) -> bool:
        """Whether the command begins here; else past an assignment or a word of the wrapper."""
        wrapper = self._wrapper
        if self._own == 0 and not (wrapper.assigns and _ASSIGNMENT.match(word)):
            return True
        if not (wrapper.assigns and _ASSIGNMENT.match(word)):
            self._own -= 1
        self._at += 1
        goes_on = wrapper.text or wrapper.text_option or wrapper.assigns
        return self._own == 0 and not goes_on

    def _option(self, word: str) -> None:
        """One option, with its value."""
        wrapper = self._wrapper
        option, has_value, value = word.partition("=")
        self._stops = self._stops or option in wrapper.bare_stop
        self._at += 1
        if word in wrapper.valued:
            value = self._words[self._at] if self._at < len(self._words) else ""
            self._at += 1
        elif not has_value and word[:2] in wrapper.valued and not word.startswith("--"):
            option, value = word[:2], word[2:]
        if option in wrapper.text_option:
            self._texts.append(value)
        elif option in wrapper.directory and value:
            self._directory = value
        elif option == "--entrypoint":
            self._entrypoint = value


def _peeled(wrapper: Wrapper, words: Sequence[str], at: int, via: str) -> list[Step]:
    """The steps of a wrapper of the tables."""
    if wrapper.after_dashes:
        if "--" not in words[at:]:
            return [utility()]
        start = words.index("--", at) + 1
        found = _options(wrapper, words[: start - 1], at)._replace(at=start)
    else:
        found = _options(wrapper, words, at)
    steps: list[Step] = [
        Text(text, via, wrapper.remote, directory=found.directory) for text in found.texts
    ]
    rest = tuple(words[found.at :])
    if found.entrypoint:
        rest = (found.entrypoint, *rest)
    if found.stops or not rest:
        return steps or [_image(via, words) or utility()]
    if wrapper.fills:
        rest = tuple(_FILLED.sub(lambda match: hole(match[0]), word) for word in rest)
    if wrapper.text:
        return [*steps, Text(" ".join(rest), via, wrapper.remote, directory=found.directory)]
    return [*steps, Words(rest, via, wrapper.remote, found.directory, wrapper.computes)]


def _image(via: str, words: Sequence[str]) -> Step | None:
    """An image that is run without a command: its name is all there is to see."""
    runs = via.endswith((" run", " create", " start")) and words[0] != "pixi"
    image = basename(words[-1]).partition(":")[0]
    if runs and not words[-1].startswith("-") and speaks_of_training(image):
        return unknown("remote", f"{via} starts {shown(image)}, whose name speaks of an experiment")
    return None


def _xargs(words: Sequence[str], _: Input) -> list[Step]:
    """The command behind the options; `-I NAME` is filled in wherever NAME stands."""
    found = _options(WRAPPERS["xargs"], words, 1)
    rest = list(words[found.at :])
    filled = "{}"
    for place, word in enumerate(words[: found.at]):
        if word in {"-I", "--replace"} and place + 1 < found.at:
            filled = words[place + 1]
        elif word.startswith("-I") and len(word) > 2:
            filled = word[2:]
    if not rest:
        return [utility()]
    has_place = any(filled in word for word in rest)
    rest = [word.replace(filled, hole(filled)) for word in rest]
    if not has_place:
        rest += [hole("input")]
    return [Words(tuple(rest), "xargs", stdin=False)]


def _parallel(words: Sequence[str], stdin: Input) -> list[Step]:
    """GNU parallel: a command before `:::`, or lines of commands."""
    at, listed = 1, ""
    while at < len(words) and words[at].startswith("-"):
        if words[at] in {"--dry-run", "--dryrun"}:
            return [utility("parallel only says what it would do")]
        if words[at] in {"-a", "--arg-file"}:
            listed = words[at + 1] if at + 1 < len(words) else ""
        at += 2 if words[at] in _PARALLEL_VALUES else 1
    rest = list(words[at:])
    if listed and not rest:
        return [Script(listed, "sh")]
    ends = [place for place, word in enumerate(rest) if word.rstrip("+") in {":::", "::::"}]
    end = ends[0] if ends else len(rest)
    command, inputs = rest[:end], rest[end + 1 :]
    if command:
        text = _FILLED.sub(lambda match: hole(match[0]), " ".join(command))
        first = _FILLED.sub(inputs[0] if inputs else hole("input"), " ".join(command))
        return [Text(first if ends and rest[end].startswith(":::") else text, "parallel")]
    if ends and rest[end].rstrip("+") == ":::":
        return [Text("\n".join(inputs), "parallel")]
    if ends:
        return [Script(path, "sh") for path in inputs if not path.startswith("::")]
    return _fed(stdin, "parallel")


def _fed(stdin: Input, via: str) -> list[Step]:
    """Commands that are read from standard input."""
    if stdin.text is not None:
        return [Text(stdin.text, via)]
    if stdin.path is not None:
        return [Script(stdin.path, "sh")]
    if stdin.source is not None:
        return [unknown("unreadable", f"{via} is fed by {stdin.source}: what it runs is not here")]
    return [utility()]


_PARALLEL_VALUES: Final = word_set(
    "-j --jobs -P --max-procs -a --arg-file -d --delimiter -N --max-args -n -I --joblog --results "
    "--delay --timeout --retries -S --sshlogin --colsep -C --load --memfree --tmpdir --wd "
    "--workdir --halt --tagstring --env --max-replace-args -L --nice --shuf-seed"
)


def _find(words: Sequence[str], _: Input) -> list[Step]:
    """What `-exec` and its kin run."""
    steps: list[Step] = []
    at = 1
    while at < len(words):
        if words[at] not in {"-exec", "-execdir", "-ok", "-okdir"}:
            at += 1
            continue
        end = at + 1
        while end < len(words) and words[end] not in {";", "+"}:
            end += 1
        command = tuple(word.replace("{}", hole("file")) for word in words[at + 1 : end])
        if command:
            steps.append(Words(command, "find", stdin=False))
        at = end
    return steps or [utility()]


def _fd(words: Sequence[str], _: Input) -> list[Step]:
    """What `fd -x` runs."""
    for place, word in enumerate(words):
        if word in {"-x", "--exec", "-X", "--exec-batch"} and place + 1 < len(words):
            rest = [_FILLED.sub(hole("file"), each) for each in words[place + 1 :]]
            rest += [] if any(map(_FILLED.search, words[place + 1 :])) else [hole("file")]
            return [Words(tuple(rest), "fd", stdin=False)]
    return [utility()]


def _tmux(words: Sequence[str], _: Input) -> list[Step] | None:
    """Keys that are typed into a pane are a shell text; several commands stand between `;`."""
    if ";" in words:
        place = words.index(";")
        rest = ("tmux", *words[place + 1 :])
        return [Words(tuple(words[:place])), Words(rest)] if place > 1 else [Words(rest)]
    at, name = subcommand("tmux", words)
    if name not in {"send-keys", "send"}:
        return None
    typed = list(words[at + 1 :])
    keys: list[str] = []
    while typed:
        word = typed.pop(0)
        if word in {"-t", "-N", "-c"} and typed:
            typed.pop(0)
        elif not word.startswith("-") or keys:
            keys.append(word)
    lines = "".join("\n" if key in {"Enter", "C-m", "KPEnter", "^M"} else key for key in keys)
    return [Text(lines, "tmux send-keys")]


def _byobu(words: Sequence[str], _: Input) -> list[Step]:
    """Another face of tmux, with its words."""
    return [Words(("tmux", *words[1:]))]


def _screen(words: Sequence[str], _: Input) -> list[Step]:
    """`screen -dmS name command`, `screen -S name -X stuff 'keys'`."""
    if "stuff" in words[:-1]:
        return [Text(words[words.index("stuff") + 1].replace("^M", "\n"), "screen")]
    at = 1
    while at < len(words) and words[at].startswith("-"):
        takes = words[at].lstrip("-dmDRxUAaqOL") in {"S", "c", "e", "h", "p", "s", "t", "T"}
        takes = takes or words[at] == "-Logfile"
        at += 2 if takes else 1
    rest = tuple(words[at:])
    return [Words(rest, "screen")] if rest else [utility()]


def _at(words: Sequence[str], stdin: Input) -> list[Step]:
    """`at now <<< 'command'`, `batch < file`."""
    if "-f" in words[:-1]:
        return [Script(words[words.index("-f") + 1], "sh")]
    return _fed(stdin, basename(words[0]))


def _crontab(words: Sequence[str], stdin: Input) -> list[Step]:
    """Lines with five fields of time before each command."""
    if len(words) < 2 or (words[-1].startswith("-") and words[-1] != "-"):
        return [utility()]
    if stdin.text is None:
        return [utility()] if words[-1] != "-" else _fed(stdin, "crontab")
    commands = (re.sub(r"^\s*(?:@\w+|(?:\S+\s+){4}\S+)\s+", "", line)
                for line in stdin.text.splitlines())  # fmt: skip
    return [Text("\n".join(commands), "crontab")]


def _trap(words: Sequence[str], _: Input) -> list[Step]:
    """`trap 'command' SIGNAL`."""
    rest = [word for word in words[1:] if word not in {"--", "-l", "-p"}]
    return [Text(rest[0], "trap")] if len(rest) > 1 and rest[0] not in {"-", ""} else [utility()]


def _git(words: Sequence[str], _: Input) -> list[Step] | None:
    """`git rebase --exec 'command'`; `git bisect run` stands in the tables."""
    steps: list[Step] = []
    if subcommand("git", words)[1] == "rebase":
        for place, word in enumerate(words):
            if word in {"-x", "--exec"} and place + 1 < len(words):
                steps.append(Text(words[place + 1], "git rebase"))
            elif word.startswith("--exec="):
                steps.append(Text(word.partition("=")[2], "git rebase"))
    return steps or None


def _timer(words: Sequence[str], _: Input) -> list[Step]:
    """hyperfine: each of its words is a command to measure, and so is each preparation."""
    steps: list[Step] = []
    at = 1
    while at < len(words):
        word = words[at]
        if not word.startswith("-"):
            steps.append(Text(word, "hyperfine"))
        elif word in _TIMER_VALUES:
            at += 1
            if word in _TIMER_TEXTS and at < len(words):
                steps.append(Text(words[at], "hyperfine"))
        at += 1
    return steps or [utility()]


_TIMER_TEXTS: Final = frozenset({"-p", "--prepare", "-c", "--cleanup", "-s", "--setup"})
_TIMER_VALUES: Final = word_set(
    "-w --warmup -m --min-runs -M --max-runs -r --runs -s --setup -p --prepare -c --cleanup -P "
    "--parameter-scan -D --parameter-step-size -L --parameter-list -S --shell --export-json "
    "--export-markdown --export-csv -n --command-name --style -u --time-unit --output --input"
)


def _nix_shell(words: Sequence[str], _: Input) -> list[Step]:
    """`nix-shell --run 'command'`."""
    for place, word in enumerate(words[:-1]):
        if word in {"--run", "--command"}:
            return [Text(words[place + 1], "nix-shell")]
    return [utility()]


def _ssh(words: Sequence[str], stdin: Input) -> list[Step] | None:
    """Without a command it is a shell there, which reads what we feed it."""
    found = _options(WRAPPERS["ssh"], words, 1)
    command = " ".join(words[found.at :]).split()
    if found.stops or not stdin.is_given or (command and not _READING.fullmatch(" ".join(command))):
        return None
    if stdin.text is not None:
        return [Text(stdin.text, "ssh", remote=True)]
    return _fed(stdin, "ssh")


_Special = Callable[[Sequence[str], Input], list[Step] | None]

_SPECIAL: Final[dict[str, _Special]] = {
    "xargs": _xargs, "parallel": _parallel, "find": _find, "gfind": _find, "fd": _fd,
    "fdfind": _fd, "tmux": _tmux, "byobu": _byobu, "screen": _screen, "at": _at, "batch": _at,
    "crontab": _crontab, "trap": _trap, "git": _git, "hyperfine": _timer,
    "nix-shell": _nix_shell, "ssh": _ssh,
}  # fmt: skip
SPECIAL_NAMES: Final = frozenset(_SPECIAL)
"""Programs that are unwrapped by code."""
