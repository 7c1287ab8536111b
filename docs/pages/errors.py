# ruff: noqa: INP001 - a part of docs/generate.py
"""docs/reference/errors.md: every code that the package names, found in its source."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tallystick
from docs.pages.markdown import MADE, code, table
from tallystick.api import views
from tallystick.domain import policy, run

PACKAGE = Path(tallystick.__file__).parent

INTRO = """\
An error is a problem document (RFC 9457, `application/problem+json`): `type`, `title`, `status`,
`detail` for people, `code` for programs, `hint`, `next_actions` (calls that make sense now), and
the facts of the case. Codes are stable, details are not; … stands for what is filled in. The Python
client raises the class that the server raised, and the command line prints the same words.

## Exit codes of `tally`

| Code | Meaning |
| --- | --- |
| 0 | done |
| 1 | refused: the request, the rights or the state |
| 2 | usage: the command line itself |
| 3 | unavailable: no server, or not just now |
| 4 | verification failed, or the ledger is corrupt |

`tally exec` answers with the command's own exit status instead, once the command has started.
"""

STATUS: Mapping[str, tuple[str, str]] = {
    "InvalidError": ("422", "Malformed request, specification or setting."),
    "PolicyError": ("422", "The audit protocol forbids it; the refusal names the compliant call."),
    "UnauthenticatedError": ("401", "No token, or one that opens nothing."),
    "ForbiddenError": ("403", "A known token that may not do this."),
    "NotFoundError": ("404", "No such thing, or a call that is not offered."),
    "MethodError": ("405", "The path exists, the method does not."),
    "RangeError": ("416", "The file has no such bytes."),
    "ConflictError": ("409", "The present state does not allow it."),
    "TooLargeError": ("413", "The body is larger than the server takes."),
    "UnavailableError": ("503", "Passing; `Retry-After` says when to try again."),
    "CorruptLedgerError": ("500", "The server has stopped writing; call a person."),
    "TallystickError": ("500", "A fault of ours, logged under an incident id."),
    "UsageError": ("", "The command line itself; exit code 2."),
    "VerificationError": ("", "What a verifier says; no request is answered with it."),
    "Refusal": ("", "The class above all refusals."),
}
"""Classes in the order of the page."""

WARNINGS = """\
## Warnings

In the `warnings` of an answer: it went through, and something should be mended.
"""


VIOLATIONS = (policy.SESSION_PLACEHOLDER, policy.SESSION_MISSING, policy.SWEEP_MISSING)
"""Warnings that are marks on the record, too."""

REASONS = """\
## Reasons of ended runs

The `reason_code` of a run that has ended, and the `reason` that goes with it. A run that failed
carries the last lines of its output there, too.
"""


@dataclass(frozen=True, slots=True)
class Said:
    """One place of the code that names a code: in a call, or as a class's default."""

    shape: str
    code: str
    detail: str


def page() -> str:
    """The page."""
    said = said_in_code()
    parts = ["# Errors, warnings, exit codes\n", MADE, INTRO]
    for shape, (status, meaning) in STATUS.items():
        rows = [(code(item.code), item.detail) for item in said if item.shape == shape]
        if rows:
            parts += [f"## {shape}{status and f' ({status})'}\n", meaning + "\n"]
            parts.append(table(("Code", "What is said"), rows) + "\n")
    rows = [(code(item.code), item.detail) for item in said if item.shape in {"Notice", "Warning"}]
    rows += [(code(item.code), item.detail) for item in views.notices(VIOLATIONS)]
    parts += [WARNINGS, table(("Code", "What is said"), sorted(rows)) + "\n"]
    reasons = [(code(slug), words or "") for slug, words in sorted(_reasons())]
    return "\n".join([*parts, REASONS, table(("Code", "Reason in words"), reasons) + "\n"])


def _reasons() -> Iterator[tuple[str, str | None]]:
    """Every reason code with its words."""
    yield "exit_code", "exit code …"
    yield "signal", "ended by signal …"
    yield from run._REASONS.items()  # noqa: SLF001 - the words stand there, and only there


def said_in_code() -> list[Said]:
    """Every `Something(…, code="slug")` of the package, and every class's default code."""
    found: dict[tuple[str, str], Said] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            for said in _said(node, tree):
                key = (said.shape, said.code)
                if key not in found or not found[key].detail:
                    found[key] = said
    return [found[key] for key in sorted(found)]


def _said(node: ast.AST, tree: ast.Module) -> Iterator[Said]:
    if isinstance(node, ast.ClassDef):
        doc = (ast.get_docstring(node) or "").split("\n")[0]
        yield from (Said(node.name, slug, doc) for slug in _defaults(node))
    elif isinstance(node, ast.Call):
        shape = ast.unparse(node.func).split(".")[-1]
        for keyword in node.keywords:
            if keyword.arg == "code":
                yield from (
                    Said(shape, slug, _detail(node, tree)) for slug in _strings(keyword.value)
                )


def _defaults(node: ast.ClassDef) -> Iterator[str]:
    """The value of `default_code` in a class."""
    for item in node.body:
        targets = item.targets if isinstance(item, ast.Assign) else []
        targets += [item.target] if isinstance(item, ast.AnnAssign) else []
        if any(isinstance(each, ast.Name) and each.id == "default_code" for each in targets):
            yield from _strings(getattr(item, "value", None))


def _strings(value: ast.expr | None) -> Iterator[str]:
    """The strings that an expression may be."""
    match value:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _strings(body)
            yield from _strings(orelse)
        case ast.JoinedStr():
            yield _template(value)
        case _:
            return


def _detail(call: ast.Call, tree: ast.Module) -> str:
    """The sentence that goes with a code, as far as it stands in the call or right above it."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "detail"]
    value = (call.args or given or [ast.Constant("")])[0]
    if isinstance(value, ast.Name):
        value = _assigned(value.id, call.lineno, tree) or value
    text = _template(value)
    return "" if text == "…" else text


def _assigned(name: str, before: int, tree: ast.Module) -> ast.expr | None:
    """What was last assigned to a name above a line."""
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and node.lineno < before
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]
    return max(found, key=lambda node: node.lineno).value if found else None


def _template(value: ast.expr) -> str:
    """Text with … for what is filled in."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_template(part) for part in values)
        case ast.BinOp(left=left, right=right):
            return _template(left) + _template(right)
        case _:
            return "…"
