"""`.tally/policy.toml`, read strictly: an unknown key would be a rule that somebody counts on."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from tallystick import durable
from tallystick.agents.digest import sha256_hex
from tallystick.agents.project import (
    LIST_KEYS,
    MODES,
    MOST_POLICY_BYTES,
    Accepted,
    accepted_path,
)
from tallystick.errors import InvalidError

MOST_RULES = 1_000
"""Rules in one list."""
EXAMPLE = 'mode = "convert"\nallow = ["python tools/sync.py"]\nutility_scripts = ["scripts/plot_*"]'


def parse(content: bytes) -> dict[str, Any]:
    """The mode (or None), allow, experiment, utility_scripts (lists), tests_are_runs (bool).

    Raises `InvalidError`: policy_invalid.
    """
    if len(content) > MOST_POLICY_BYTES:
        raise _refused(f"expected at most {MOST_POLICY_BYTES} bytes; found {len(content)}")
    try:
        text = content.decode()
        found = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise _refused(f"expected TOML in UTF-8; found something else: {error}") from error
    for key in found:
        if key not in {"mode", "tests_are_runs", *LIST_KEYS}:
            known = ", ".join(("mode", *LIST_KEYS, "tests_are_runs"))
            raise _refused(f"{_line(text, key)}: expected one of {known}; found {key!r}")
    _check(text, found)
    return {
        "mode": found.get("mode"),
        **{key: list(found.get(key, [])) for key in LIST_KEYS},
        "tests_are_runs": found.get("tests_are_runs", False),
    }


def write_accepted(
    root: str, tally_home: str, text: bytes, *, accepted_at: int, seq: int | None
) -> Accepted:
    """Put policy.toml's `text` in force for a project, after a person's acceptance was recorded.

    `accepted_at` is in milliseconds, `seq` the ledger's entry. Raises what `parse` raises,
    and OSError.
    """
    found = parse(text)
    document = {
        "root": root,
        "sha256": sha256_hex(text),
        "accepted_at": accepted_at,
        "seq": seq,
        "mode": found.pop("mode"),
        "rules": found,
    }
    path = Path(accepted_path(root, tally_home))
    durable.make_directory(path.parent)
    durable.write(path, (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode())
    return Accepted(root, document)


def _check(text: str, found: dict[str, Any]) -> None:
    mode = found.get("mode", MODES[0])
    if mode not in MODES:
        raise _refused(f"{_line(text, 'mode')}: expected {', '.join(MODES)}; found {mode!r}")
    tests = found.get("tests_are_runs", False)
    if not isinstance(tests, bool):
        where = _line(text, "tests_are_runs")
        raise _refused(f"{where}: expected true or false; found {tests!r}")
    for key in LIST_KEYS:
        rules = found.get(key, [])
        where = _line(text, key)
        if not isinstance(rules, list):
            raise _refused(f"{where}: {key}: expected a list of texts; found {rules!r}")
        if len(rules) > MOST_RULES:
            raise _refused(f"{where}: {key}: expected at most {MOST_RULES}; found {len(rules)}")
        for rule in rules:
            if not isinstance(rule, str) or not rule.strip():
                raise _refused(f"{where}: {key}: expected texts that say something; found {rule!r}")


def _line(text: str, key: str) -> str:
    """Where a key stands, as people count; the first line when it cannot be told."""
    pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(key)}\b")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f"line {number}"
    return "line 1"


def _refused(detail: str) -> InvalidError:
    return InvalidError(
        f"policy.toml: {detail}", code="policy_invalid", hint=f"for example:\n{EXAMPLE}"
    )
