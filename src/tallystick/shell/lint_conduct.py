"""What a command does to its own record, or to its neighbours: rules R109 to R117 of lint."""

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from tallystick.shell import pins
from tallystick.shell.lint_rules import is_within
from tallystick.shell.lint_seen import LintFinding, Seen, program_of
from tallystick.shell.syntax import Command, Word

_DETACHED: Final = re.compile(
    r"tmux\s+(?:new|new-session|new-window|neww|split-window|send-keys)\b|screen\s+-\w*d\w*m"
    r"|systemd-run\b"
)
_THROWN: Final = re.compile(
    r"\s*(?:&>>?|>&|1?>>?)\s*/dev/null(?![\w/])"
    r"|\s*2>>?\s*/dev/null(?![\w/])\s*1?>>?\s*/dev/null(?![\w/])"
)
_OTHER_REDIRECTION: Final = re.compile(r"\s*(?:2>&1|2>>?\s*\S+|<\s*\S+)")
_DEVICE: Final = re.compile(r"(?:--?[\w-]*(?:device|gpu)[\w-]*[= ])?cuda:(?P<index>[1-9][0-9]*)")
_GPU_ID: Final = re.compile(r"--(?:gpu|device|cuda)[-_]?ids?=(?P<index>[1-9][0-9,]*)")
_INTERACTIVE: Final = frozenset(
    {"vim", "vi", "nano", "emacs", "less", "more", "top", "htop", "nvtop", "watch", "pdb", "ipdb"}
)
_INSTALLS: Final = re.compile(
    r"(?:pip[0-9.]*|uv pip|conda|mamba|micromamba|apt|apt-get|yum|dnf|brew) (?:-\S+ )*install\b"
    r"|(?:uv|poetry|pdm|pixi|cargo|pipx) (?:add|sync)\b"
    r"|(?:npm|yarn|pnpm|poetry|pdm|pixi) (?:install|ci)\b"
    r"|conda env (?:create|update)\b|python[0-9.]* -m pip (?:-\S+ )*install\b"
)
_CHANGES: Final = re.compile(
    r"git (?:-C \S+ )?(?:checkout|switch|pull|merge|rebase|reset|stash|apply|am|cherry-pick|revert"
    r"|clone|restore|submodule update)\b"
    r"|(?:sed|perl) (?:-\S+ )*-\w*i\S* .*\.(?:py|ya?ml|toml|json|sh|cfg)\b|patch\b",
    re.DOTALL,
)
_SECRET_NAME: Final = re.compile(
    r"(?:^|[_-])(?:token|secret|password|passwd|passphrase|credentials?|api[_-]?key"
    r"|access[_-]?key(?:[_-]id)?|private[_-]?key|secret[_-]?key)$",
    re.IGNORECASE,
)
_KNOWN_SECRET: Final = re.compile(
    r"(?<![A-Za-z0-9_-])(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|hf_[A-Za-z0-9]{20,}|glpat-[\w-]{16,}|(?:AKIA|ASIA)[0-9A-Z]{16}|xox[abeprs]-[\w-]{10,}"
    r"|tally_[a-z]+_[A-Za-z0-9_-]{30,})|\bBearer\s+[A-Za-z0-9._~+/=-]{8,}|://[^\s/:@]*:[^\s/@$]{3,}@"
)
_NOT_SECRET: Final = re.compile(
    r"\[redacted |none\b|null\b|true\b|false\b|[0-9.]+$|\{[^{}]+\}$|<.*>$|\*+$", re.IGNORECASE
)
_SHORTEST_SECRET: Final = 8
_FIRST: Final = 60
_LONGEST_SHOWN: Final = 500
"""Words and characters in which a program says what it does; patterns look at no more."""
_PORT_OPTION: Final = re.compile(
    r"--(?:master|rdzv|main[-_]process|standalone)[-_\w]*(?:=.*)?", re.DOTALL
)
_SEVERAL: Final = re.compile(
    r"--(?:nproc[-_]per[-_]node|num[-_]processes|multi[-_]gpu|num[-_]gpus)(?:=.*)?", re.DOTALL
)
_FIXED_PORTS: Final = {
    "torchrun": "--standalone",
    "torch.distributed.run": "--standalone",
    "torch.distributed.launch": "--master_port 0",
    "accelerate": "--main_process_port 0",
}
"""Launchers that listen at one port, and what makes them choose a free one."""


def background(seen: Seen) -> Iterator[LintFinding]:
    """R109: something goes on when the command has ended."""
    waits = any(program_of(command) in {"wait", "fg"} for command in seen.parsed.commands)
    for command in seen.parsed.commands:
        name = program_of(command)
        shown = seen.text[slice(*command.span)]
        if name in {"nohup", "disown"} or (name == "setsid" and "--wait" not in shown):
            what = f"{name} is for commands that outlive their shell"
        elif _DETACHED.match(shown) is not None:
            what = f"{name} starts it elsewhere"
        elif (
            command.background
            and not waits
            and any(each.command is command for each in seen.launches)
        ):
            what = "& starts it in the background, and nothing waits for it"
        else:
            continue
        yield LintFinding(
            "R109", "background-start",
            f"{what}; a run ends with its command, and what is left over then is ended too",
            "leave it out: a run needs no terminal, and the queue starts runs side by side",
            command.span,
        )  # fmt: skip
        return


def output_thrown_away(seen: Seen) -> Iterator[LintFinding]:
    """R110: what the experiment says is lost."""
    for launch in seen.launches:
        at = end = launch.command.span[1]
        while (other := _OTHER_REDIRECTION.match(seen.text, end)) and not _THROWN.match(
            seen.text, end
        ):
            end = other.end()
        found = _THROWN.match(seen.text, end)
        if found is not None:
            yield LintFinding(
                "R110", "output-thrown-away",
                f"what {launch.name} prints goes to /dev/null, and so do its metrics and errors",
                "leave the redirection out: output is recorded with the run", (at, found.end()),
            )  # fmt: skip
            return


def fixed_gpu(seen: Seen) -> Iterator[LintFinding]:
    """R111: the command chooses a device itself."""
    named = pins.named(seen.text)
    if named:
        at = seen.text.find(pins.VARIABLE)
        yield _gpu(f"{pins.VARIABLE} names {', '.join(named)}", (at, at + len(pins.VARIABLE)))
        return
    for launch in seen.launches:
        for word in launch.arguments:
            found = _DEVICE.search(word.raw) or _GPU_ID.fullmatch(word.raw)
            if found is not None:
                yield _gpu(f"{word.raw[:60]} names a device by its place on the machine", word.span)
                return


def _gpu(what: str, span: tuple[int, int]) -> LintFinding:
    return LintFinding(
        "R111", "fixed-gpu", f"{what}, and the run waits for it or misses what it is leased",
        "leave it out and ask for a number of them (gpus: 1): the run sees only its own devices, "
        "and the first is cuda:0", span,
    )  # fmt: skip


def interactive(seen: Seen) -> Iterator[LintFinding]:
    """R112: it waits for somebody at a terminal."""
    for command in seen.parsed.commands:
        what = _terminal(command)
        if what is not None:
            yield _nobody(what, command)
            return
    for launch in seen.launches:
        script = launch.says
        if script is not None and script.asks is not None and launch.command.piped_from is None:
            yield _nobody(f"{launch.name} calls {script.asks}", launch.command)
            return


def _nobody(what: str, command: Command) -> LintFinding:
    return LintFinding(
        "R112", "interactive", f"{what}, and nobody sits at a run",
        "give the answer as an argument, or take the call out", command.span,
    )  # fmt: skip


def _terminal(command: Command) -> str | None:
    """What of a command needs a terminal."""
    name = program_of(command)
    words = [word.raw for word in command.words[1:]]
    if name in _INTERACTIVE and not {"-b", "--batch", "--version", "-es"} & set(words):
        return f"{name} needs a terminal"
    if name in {"jupyter", "jupyter-lab", "jupyter-notebook"} and (
        not words or words[0] in {"lab", "notebook", "console"}
    ):
        return f"{name} {' '.join(words[:1])} serves people".replace("  ", " ")
    if name.startswith(("python", "ipython", "bash")) and "-i" in takewhile(_is_option, words):
        return f"{name} -i stays open for a person"
    if name.startswith("python") and words[:2] in (["-m", "pdb"], ["-m", "ipdb"], ["-m", "pudb"]):
        return "a debugger waits for commands"
    return None


def _is_option(word: str) -> bool:
    return word.startswith("-")


def installs(seen: Seen) -> Iterator[LintFinding]:
    """R113: the environment is another one afterwards."""
    for command in seen.parsed.commands:
        if _INSTALLS.match(_plainly(command)) is not None and not command.in_substitution:
            yield LintFinding(
                "R113", "installs-packages",
                f"{_plainly(command)[:80]} changes the environment that other runs use, too",
                "install once, before the runs; the packages of each run are recorded",
                command.span,
            )  # fmt: skip
            return


def changes_code(seen: Seen) -> Iterator[LintFinding]:
    """R114: the code is another one than the one that was there at the start."""
    for command in seen.parsed.commands:
        if _CHANGES.match(_plainly(command)) is not None and not command.in_substitution:
            yield LintFinding(
                "R114", "changes-code",
                f"{_plainly(command)[:80]} changes files that other runs execute, too, after the "
                "state of the code was recorded",
                "let the run start in a worktree of its own (git worktree add DIR REVISION)",
                command.span,
            )  # fmt: skip
            return


def _plainly(command: Command) -> str:
    """The beginning of a command, as words with one blank between."""
    return " ".join(word.raw for word in command.words[:_FIRST])[:_LONGEST_SHOWN]


def hidden_status(seen: Seen) -> Iterator[LintFinding]:
    """R115: the run succeeds when the last command of a pipeline does."""
    if seen.pipefail or "pipefail" in seen.text or "PIPESTATUS" in seen.text:
        return
    commands = seen.parsed.commands
    for launch in seen.launches:
        place = commands.index(launch.command)
        reader = next((one for one in commands if one.piped_from == place), None)
        if reader is not None and not _is_a_trial(seen, reader):
            yield LintFinding(
                "R115", "pipe-hides-exit-status",
                f"the exit status is that of {program_of(reader) or 'the last command'}: when "
                f"{launch.name} fails, the run has succeeded",
                "leave the pipe out, since output is recorded with the run; or begin with "
                "`set -o pipefail;`", (launch.command.span[0], reader.span[1]),
            )  # fmt: skip
            return
    yield from _excused(seen)


def _is_a_trial(seen: Seen, reader: Command) -> bool:
    """Whether the experiment is what reads the pipe."""
    return any(each.command is reader for each in seen.launches)


def _excused(seen: Seen) -> Iterator[LintFinding]:
    """`… || true` and `…; true`: the same, without a pipe."""
    for before, after in zip(seen.parsed.statements, seen.parsed.statements[1:], strict=False):
        said = seen.text[slice(*after.span)].strip()
        if before.operator != "||" or said not in {"true", ":"}:
            continue
        inside = (each for each in seen.launches if is_within(each, before.span))
        for launch in inside:
            yield LintFinding(
                "R115", "pipe-hides-exit-status",
                f"|| {said} makes the run succeed when {launch.name} fails",
                "leave it out: a run that failed is worth knowing", after.span,
            )  # fmt: skip
            return


def secret(seen: Seen) -> Iterator[LintFinding]:
    """R116: a secret stands in the command."""
    known = _KNOWN_SECRET.search(seen.text)
    if known is not None:
        yield _secret("something that looks like a secret", known.span())
        return
    for command in seen.parsed.commands:
        for each in command.assigned:
            if _SECRET_NAME.search(each.name) and _is_value(each.value.text):
                yield _secret(f"a value for {each.name}", each.value.span)
                return
        yield from _secret_options(command.words)


def _secret_options(words: tuple[Word, ...]) -> Iterator[LintFinding]:
    """The values of options like --api-key."""
    for place, word in enumerate(words):
        name, sign, value = (word.text or "").partition("=")
        if not name.startswith("-") or _SECRET_NAME.search(name) is None:
            continue
        after = words[place + 1].text if place + 1 < len(words) else None
        if _is_value(value if sign else after):
            yield _secret(f"a value for {name}", word.span)
            return


def _is_value(text: str | None) -> bool:
    return (
        text is not None
        and len(text) >= _SHORTEST_SECRET
        and not text.startswith(("-", "$", "/", "~"))
        and _NOT_SECRET.match(text) is None
    )


def _secret(what: str, span: tuple[int, int]) -> LintFinding:
    return LintFinding(
        "R116", "secret-in-command",
        f"{what} stands in the command, where every process of the machine can read it",
        "put it into the environment of the run (tally exec --env NAME), and read it there",
        span,
    )  # fmt: skip


def fixed_port(seen: Seen) -> Iterator[LintFinding]:
    """R117: two of these on one machine meet at the same port."""
    for launch in seen.launches:
        if launch.program not in _FIXED_PORTS:
            continue
        words = [word.raw[:200] for word in (*launch.options, *launch.command.words)]
        several = any(_SEVERAL.fullmatch(word) for word in words)
        if several and not any(_PORT_OPTION.fullmatch(word) for word in words):
            yield LintFinding(
                "R117", "fixed-port",
                f"{launch.program} listens at port 29500 unless told otherwise: a second run on "
                "the same machine fails",
                f"add {_FIXED_PORTS[launch.program]}", launch.command.span,
            )  # fmt: skip
            return
