"""What will cost something later about a command that becomes a run (P5.2). It refuses nothing.

Every finding has a stable code with a page of its own in `docs/lint`. Rules look only where a
cheap pattern has matched, and files are read only through `Around.read`; without it nothing is said
about files. No text makes `lint` raise.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from tallystick.shell import lint_conduct, lint_rules, lint_seed
from tallystick.shell.lint_seen import Launch, LintFinding, Seen
from tallystick.shell.verdicts import Around

__all__ = ["NAMES", "LintFinding", "lint"]

Rule = Callable[[Seen], Iterator[LintFinding]]

NAMES: Final = {
    "R101": "no-seed",
    "R102": "script-missing",
    "R103": "script-outside-workdir",
    "R104": "no-output-directory",
    "R105": "shared-output",
    "R106": "reads-stdin",
    "R107": "nondeterministic-launcher",
    "R108": "loop-hides-grid",
    "R109": "background-start",
    "R110": "output-thrown-away",
    "R111": "fixed-gpu",
    "R112": "interactive",
    "R113": "installs-packages",
    "R114": "changes-code",
    "R115": "pipe-hides-exit-status",
    "R116": "secret-in-command",
    "R117": "fixed-port",
}
"""Every code, with its name."""

RULES: Final[tuple[tuple[re.Pattern[str] | None, Rule], ...]] = (
    (None, lint_seed.no_seed),
    (None, lint_rules.script_missing),
    (re.compile(r"[/$`]"), lint_rules.script_elsewhere),
    (None, lint_rules.no_output),
    (
        re.compile(r"(?:^|[\s.-])(?:o|\w*(?:out|save|log|ck|result|work|run|exp|dir)\w*)"),
        lint_rules.shared_output,
    ),
    (None, lint_rules.reads_stdin),
    (re.compile(r"[$`]"), lint_rules.nondeterministic),
    (re.compile(r"\bfor\b|\bparallel\b|\bxargs\b|[;&\n]"), lint_rules.hidden_grid),
    (re.compile(r"&|nohup|disown|setsid|tmux|screen|systemd-run"), lint_conduct.background),
    (re.compile(r"/dev/null"), lint_conduct.output_thrown_away),
    (re.compile(r"CUDA_VISIBLE|cuda:[1-9]|ids?="), lint_conduct.fixed_gpu),
    (None, lint_conduct.interactive),
    (
        re.compile(r"\binstall\b|\badd\b|\bsync\b|\bci\b|\benv (?:create|update)"),
        lint_conduct.installs,
    ),
    (re.compile(r"\bgit\b|\bsed\b|\bperl\b|\bpatch\b"), lint_conduct.changes_code),
    (re.compile(r"\|"), lint_conduct.hidden_status),
    (
        re.compile(
            r"(?i)tok|secret|pass|cred|key|bearer|://|sk-|gh[pousr]_|github_pat|hf_|glpat|akia|asia"
            r"|xox|tally_"
        ),
        lint_conduct.secret,
    ),
    (re.compile(r"torchrun|accelerate|torch\.distributed"), lint_conduct.fixed_port),
)
"""Each rule, and what must stand in a command before the rule looks at it."""

DEEPEST: Final = 2
"""Scripts in scripts, and `bash -c` in them, that are looked into."""

LONGEST: Final = 65_536
"""Characters; of a longer command nothing is said."""


def lint(
    command: str,
    *,
    workdir: str | None = None,
    params: Mapping[str, Any] = {},
    around: Around | None = None,
    many: bool = False,
) -> tuple[LintFinding, ...]:
    """What is to be said about a command, in the order of the codes; never raises.

    `workdir` is where it would start. `params` are the run's parameters. `around` reads files; None
    says nothing about files. `many`: several runs are made of this one text (a sweep's points).
    """
    if len(command) > LONGEST:
        return ()
    try:
        return tuple(_found(command, workdir, params, around, many=many))
    except RecursionError:
        return ()


def _found(
    command: str,
    workdir: str | None,
    params: Mapping[str, Any],
    around: Around | None,
    *,
    many: bool,
) -> Iterator[LintFinding]:
    """Each code at most once, with its first finding; the lowest code first."""
    first: dict[str, LintFinding] = {}
    seen = Seen(workdir=workdir, params=params, around=around, many=many).looking_at(command)
    for each in _every(seen):
        first.setdefault(each.code, each)
    return iter(sorted(first.values()))


def _every(seen: Seen) -> Iterator[LintFinding]:
    """The findings of all rules, in the command and in the shell text that it executes."""
    for pattern, rule in RULES:
        if pattern is None or pattern.search(seen.text) is not None:
            yield from rule(seen)
    if seen.depth < DEEPEST:
        for launch in seen.launches:
            yield from _inside(seen, launch)


def _inside(seen: Seen, launch: Launch) -> Iterator[LintFinding]:
    """What is to be said about a shell script, or about the text behind `bash -c`."""
    if launch.kind != "shell":
        return
    text, place, where = launch.code, launch.command.span, ""
    if launch.script is not None:
        text = seen.content(launch, launch.script.text)
        place, where = launch.script.span, f"{launch.name}: "
    if not text or len(text) > LONGEST:
        return
    pipefail = seen.pipefail or "pipefail" in seen.text
    inner = seen._replace(depth=seen.depth + 1, pipefail=pipefail).looking_at(text)
    for each in _every(inner):
        yield each._replace(detail=where + each.detail, span=place)
