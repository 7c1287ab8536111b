"""The plan gate (P7.1): whether a plan that needs experiments says how each is put on the record.

Commands are judged as the guard judges them; prose is read for words that speak of trials. A
finding has a stable code, the line it stands in, and the calls to put there.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from tallystick.shell.classify import Around, Judgement, Verdict, judge
from tallystick.shell.convert import convert
from tallystick.shell.expand import expand
from tallystick.shell.parse import parse
from tallystick.shell.plan_parts import KINDS, Part, kind_of, parts

__all__ = ["CODES", "KINDS", "PlanFinding", "PlanReport", "check"]

CODES: Final = {
    "P101": "direct-execution",
    "P102": "no-sweep",
    "P103": "no-run",
    "P104": "loop-hides-grid",
    "P105": "background-start",
    "P106": "no-session",
}
"""Every finding, in words."""

MOST_FINDINGS: Final = 200
MOST_CALLS: Final = 20
"""Of one finding."""

_AROUND: Final = Around()
_TRIAL: Final = re.compile(
    r"\b(?:re-?train|train|fine-?tune|evaluate|benchmark|ablat(?:e|ion)|sweep over|grid[- ]search|"
    r"hyper-?parameters?|tune|run (?:(?:the|an?|all|each|both|these|those|more|new|full|final|"
    r"other|remaining|different|random|training|two|three|four|five|ten|[0-9]+) ){0,3}(?:"
    r"experiments?|sweep|grid|baselines?|seeds?|trials?|ablations?|config(?:uration)?s?|epochs?)|"
    r"try (?:out )?(?:different|several|[0-9]+))\w*",
    re.IGNORECASE,
)
_OBJECT: Final = re.compile(
    r"\b(?:models?|networks?|mlp|cnn|transformers?|lora|learning rates?|lrs?|seeds?|epochs?|"
    r"baselines?|batch sizes?|configurations?|configs?|accuracy|loss|checkpoints?|experiments?|"
    r"grid|sweep|classifiers?|optimi[sz]ers?|datasets?|mnist|cifar\w*|imagenet|hyper-?parameters?)\b",
    re.IGNORECASE,
)
_ABOUT_CODE: Final = re.compile(
    r"^(?:[-*+#]|\d+[.)]|\[[ xX]\]|\s)*(?:please\s+)?(?:write|implement|add|refactor|document|"
    r"rename|fix|move|delete|remove|review|read|describe|explain|update|extract|clean|lint|format|test|type|"
    r"do not|don't|never|no\b|without)\w*\b",
    re.IGNORECASE,
)
_PATH: Final = re.compile(r"[\w./*-]+")
_OF_RESULTS: Final = re.compile(r"\.(?:log|txt|csv|tsv|json|jsonl|md|png|pdf|svg)\b")
"""Files that trials left behind, or texts: to name one is not to ask for a trial."""
_NAMED: Final = re.compile(
    r"train|tune|eval|bench|sweep|grid|ablat|experiment|search|seed|epoch", re.IGNORECASE
)
_SWEEP: Final = re.compile(
    r"/sweeps\b|\btally (?:sweep create|exec)\b|\b(?:register_sweep|submit_runs|create_sweep|"
    r"declare_sweep)\b|\bswp_[0-9a-f]{12}\b|--sweep\b|sweep_id"
)
_RUN: Final = re.compile(
    r"/runs\b|\btally (?:run create|exec)\b|\b(?:register_run|submit_runs|create_run)\b"
    r"|\bdeclare_sweep\b|base_command"
)
_DECLARING: Final = "tally sweep create"
"""Registers the runs, too, where it says `--command`."""
_POSTS: Final = re.compile(r"\bPOST\b|\bpost\(|\s(?:-d|--data|--json)\b")
_CREATING: Final = re.compile(r"/(?:runs|sweeps(?:/wild)?)(?![\w/?-])")
_BACKGROUND: Final = frozenset({"nohup", "tmux", "screen", "disown", "setsid"})


class PlanFinding(NamedTuple):
    """Something to mend in a plan."""

    line: int
    """From 1."""
    code: str
    text: str
    """What stands there, cut to one line."""
    detail: str
    calls: tuple[dict[str, Any], ...] = ()
    """HTTP calls to put there: `method`, `path`, `body`."""
    cli: tuple[str, ...] = ()
    """The same for a shell."""


class PlanReport(NamedTuple):
    """What is to be said about a plan."""

    needs_experiments: bool
    compliant: bool
    findings: tuple[PlanFinding, ...] = ()

    def view(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "needs_experiments": self.needs_experiments,
            "compliant": self.compliant,
            "findings": [
                {**each._asdict(), "name": CODES[each.code], "calls": list(each.calls),
                 "cli": list(each.cli)}
                for each in self.findings
            ],
        }  # fmt: skip


def check(
    text: str, *, kind: str | None = None, name: str = "", around: Around = _AROUND
) -> PlanReport:
    """Look at a plan, of one of `KINDS`, by default told from name and text; never raises."""
    found: list[PlanFinding] = []
    first: Part | None = None
    registering = 0
    for part in parts(text, kind if kind in KINDS else kind_of(text, name)):
        if part.kind == "prose" and _registers(part.text):
            registering = part.line
        if part.kind == "inline" and part.line == registering:
            continue  # the command that this line registers
        findings = list(_of(part, around))
        found += findings
        if first is None and (findings or (part.kind == "prose" and _speaks_of_trials(part.text))):
            first = part
    is_registered = bool(_SWEEP.search(text)) and _registers(text)
    if first is not None:
        found += _missing(first, text)
    found += _nameless(text)
    found.sort(key=lambda each: each.line)
    needs = first is not None or is_registered
    return PlanReport(needs, not found, tuple(found[:MOST_FINDINGS]))


def _of(part: Part, around: Around) -> Iterator[PlanFinding]:
    """What is to be said about one part."""
    if part.kind == "shell":
        yield from _statements(part, around)
    elif part.kind == "inline" and (" " in part.text or part.text.startswith("./")):
        judged = judge(part.text, around=around)
        if _counts(judged, part.text, strictly=True):
            yield _direct(part.line, part.text, judged, part.place)
    elif part.kind == "python":
        judged = judge(f"python -c {shlex.quote(part.text)}", around=around)
        if judged.verdict is Verdict.EXPERIMENT:
            detail = f"{judged.detail}: a script, registered as a run, can be watched and repeated"
            yield PlanFinding(part.line, "P101", _line(part.text), _placed(detail, part.place))


def _statements(part: Part, around: Around) -> Iterator[PlanFinding]:
    """The items of a shell text, those that belong together as one."""
    start = 0
    statements = parse(part.text).statements
    for place, each in enumerate(statements):
        if each.operator in {"&&", "||"} and place + 1 < len(statements):
            continue
        start = max(start, 0)
        end = each.span[1]
        until = part.text[end : end + 3]
        piece = part.text[start : end + (until.find("&") + 1 if each.background else 0)]
        lead = len(piece) - len(piece.lstrip(" \t\n;&"))
        line = part.line + part.text.count("\n", 0, start + lead)
        yield from _command(piece[lead:], line, part.place, around)
        start = end + (1 if until[:1] in {";", "&"} else 0)


def _command(command: str, line: int, place: str, around: Around) -> Iterator[PlanFinding]:
    """One command that may start an experiment."""
    judged = judge(command, around=around)
    if not _counts(judged, command, strictly=False):
        return
    if expand(command.rstrip("& \n")) is not None or re.match(r"\s*(?:for|while)\b", command):
        calls, cli = _instead(command)
        detail = "a grid is hidden in a loop: each configuration is a run of its own"
        yield PlanFinding(line, "P104", _line(command), _placed(detail, place), calls, cli)
        return
    yield _direct(line, command, judged, place)
    words = {word.text for each in parse(command).commands for word in each.words[:1]}
    if command.rstrip().endswith("&") or words & _BACKGROUND:
        detail = "started in the background: nobody would know when and how it ends"
        cli = (f'tally run create --sweep "$SWEEP_ID" -- {shlex.quote(_bare(command))}',)
        yield PlanFinding(line, "P105", _line(command), _placed(detail, place), (), cli)


def _counts(judged: Judgement, text: str, *, strictly: bool) -> bool:
    """Whether a command is taken for an experiment; one that cannot be read, when its name says
    so, in text where names are only mentioned.
    """
    if judged.verdict is Verdict.UNKNOWN and strictly:
        return _NAMED.search(text) is not None
    return judged.verdict is not Verdict.UTILITY


def _direct(line: int, command: str, judged: Judgement, place: str) -> PlanFinding:
    """A command that would be executed without being registered."""
    calls, cli = _instead(command)
    detail = _placed(f"{judged.detail}: it is executed without being registered", place)
    return PlanFinding(line, "P101", _line(command), detail, calls, cli)


def _instead(command: str) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The calls that register a command."""
    made = convert(_bare(command), sweep="<id of the sweep>")
    expansion = expand(_bare(command))
    commands = (
        [_bare(command)] if expansion is None else [each.command for each in expansion.points]
    )
    cli = [f'tally run create --sweep "$SWEEP_ID" -- {shlex.quote(each)}' for each in commands]
    return made.calls[:MOST_CALLS], tuple(cli[:MOST_CALLS])


def _bare(command: str) -> str:
    """A command without what only puts it into the background."""
    text = command.strip()
    if text.endswith("&") and not text.endswith("&&"):
        text = text[:-1].rstrip()
    return re.sub(r"^nohup\s+", "", text)


def _missing(first: Part, text: str) -> Iterator[PlanFinding]:
    """The calls that a plan with experiments lacks altogether."""
    if not _SWEEP.search(text):
        body = {"name": "<what is compared>", "goal": "<what the runs are to find out>",
                "chat_session_id": "<chat_session_id>"}  # fmt: skip
        yield PlanFinding(
            first.line, "P102", _line(first.text),
            "the plan needs experiments and creates no sweep for them",
            ({"method": "POST", "path": "/sweeps/wild", "body": body},),
            ('SWEEP_ID=$(tally sweep create "<what is compared>" --goal "<what to find out>")',),
        )  # fmt: skip
    if not _registers(text):
        body = {"name": "<configuration>", "command": "<command>", "sweep_id": "<id of the sweep>",
                "chat_session_id": "<chat_session_id>", "auto_start": "true"}  # fmt: skip
        yield PlanFinding(
            first.line, "P103", _line(first.text),
            "the plan needs experiments and registers no run",
            ({"method": "POST", "path": "/runs", "body": body},),
            ('tally run create --sweep "$SWEEP_ID" -- <command>',),
        )  # fmt: skip


def _registers(text: str) -> bool:
    """Whether a text has a call that registers runs."""
    if _RUN.search(text):
        return True
    declared = (line.partition(_DECLARING)[2] for _, line in _whole_lines(text))
    return any("--command" in after.partition("`")[0] for after in declared)


def _nameless(text: str) -> Iterator[PlanFinding]:
    """HTTP calls that create something for no conversation."""
    if "chat_session_id" in text:
        return
    for number, line in _whole_lines(text):
        if _POSTS.search(line) and _CREATING.search(line):
            detail = (
                "creating calls name the conversation that they come from: send chat_session_id"
            )
            yield PlanFinding(number, "P106", _line(line), detail)
            return


def _whole_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with those that a backslash continues, each with the number of its first."""
    number = 1
    for line in re.split(r"(?<!\\)\n", text):
        yield number, line.replace("\\\n", " ")
        number += line.count("\n") + 1


def _speaks_of_trials(line: str) -> bool:
    """Whether a line of prose asks for trials, and not for code about them."""
    bare = _PATH.sub(lambda path: "" if _OF_RESULTS.search(path[0]) else path[0], line.strip())
    if _ABOUT_CODE.match(bare) or not _TRIAL.search(bare):
        return False
    return len({match[0].lower() for match in _OBJECT.finditer(bare)}) > 0


def _placed(detail: str, place: str) -> str:
    return f"{place}: {detail}" if place else detail


def _line(text: str) -> str:
    """The beginning, on one line."""
    flat: Sequence[str] = text.strip().splitlines()[:1] or [""]
    return flat[0] if len(flat[0]) <= 200 else flat[0][:199] + "…"
