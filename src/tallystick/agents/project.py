"""The project around a command: its root, the rules a person accepted for it, and the mode.

A project is the nearest directory upwards that has `.tally/`, which `tally init` makes. Its
`.tally/policy.toml` says what it would like; what counts is the copy that a person accepted, in
the user's own directory, so that an agent that edits the file changes nothing.
"""

from __future__ import annotations

import json
import os

from tallystick.agents.digest import text_digest

TYPE_CHECKING = False  # typing costs 6 ms, and the hook runs before every command
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MARKER = ".tally"
POLICY_FILE = "policy.toml"
CONVERT, DENY, WARN, OFF = "convert", "deny", "warn", "off"
MODES = (CONVERT, DENY, WARN, OFF)
DEFAULT_POLICY = "default"
"""What a decision names in place of a digest where nobody accepted a policy."""
LIST_KEYS = ("allow", "experiment", "utility_scripts")
MOST_POLICY_BYTES = 65_536


class Accepted:
    """The rules in force for one project; all of them defaults where nobody accepted any."""

    __slots__ = (
        "accepted_at", "allow", "experiment", "mode", "root", "seq", "sha256", "tests_are_runs",
        "utility_scripts",
    )  # fmt: skip

    def __init__(self, root: str, document: Mapping[str, Any] | None = None) -> None:
        """From what `policy_file.write_accepted` wrote; raises ValueError for another file."""
        found = document or {}
        rules = found.get("rules", {})
        self.root = root
        self.sha256: str | None = _optional(found, "sha256", str)
        """Digest of the accepted policy.toml; None where defaults rule."""
        self.mode: str | None = _optional(found, "mode", str)
        """None: whatever is best for the agent that asks."""
        self.accepted_at: int | None = _optional(found, "accepted_at", int)
        self.seq: int | None = _optional(found, "seq", int)
        self.allow = _texts(rules, "allow")
        self.experiment = _texts(rules, "experiment")
        self.utility_scripts = _texts(rules, "utility_scripts")
        self.tests_are_runs: bool = bool(_optional(rules, "tests_are_runs", bool))
        if self.mode is not None and self.mode not in MODES:
            raise ValueError(f"mode: expected {', '.join(MODES)}; found {self.mode!r}")
        if document is not None and found.get("root") != root:
            raise ValueError(f"root: expected {root!r}; found {found.get('root')!r}")

    @property
    def name(self) -> str:
        """The digest, or `default`."""
        return self.sha256 or DEFAULT_POLICY

    def rules(self) -> dict[str, Any]:
        """The rules by the names of policy.toml and of `shell.classify.Rules`, without the mode."""
        return {
            "allow": self.allow,
            "experiment": self.experiment,
            "utility_scripts": self.utility_scripts,
            "tests_are_runs": self.tests_are_runs,
        }


def find_root(cwd: str, home: str = "") -> str | None:
    """The nearest directory at or above `cwd` that has `.tally/`; None when there is none.

    `home`, the user's home directory, is none unless it has `.tally/policy.toml`: the `.tally`
    that lies there holds pins and spools.
    """
    if not cwd.startswith("/"):
        return None
    directory = os.path.normpath(cwd)
    while True:
        marker = f"{directory.rstrip('/')}/{MARKER}"
        if _is_directory(marker) and (
            directory != home or os.path.isfile(f"{marker}/{POLICY_FILE}")
        ):
            return directory
        above = os.path.dirname(directory)
        if above == directory:
            return None
        directory = above


def project_policy(root: str) -> str:
    """Where a project says what it would like: `ROOT/.tally/policy.toml`."""
    return f"{root.rstrip('/')}/{MARKER}/{POLICY_FILE}"


def accepted_path(root: str, tally_home: str) -> str:
    """The file of the accepted rules: `TALLY_HOME/policies/<sha256(root)[:16]>.json`."""
    return f"{tally_home}/policies/{text_digest(root)[:16]}.json"


def load_accepted(root: str, tally_home: str) -> Accepted:
    """The rules in force; raises OSError or ValueError when a file is there that cannot be read.

    Where nobody accepted any the defaults are in force. Whoever cannot read them takes
    `Accepted(root)`, which allows nothing beyond the defaults.
    """
    directory = f"{tally_home}/policies"
    if not _is_directory(directory):  # saves most commands the digest
        return Accepted(root)
    try:
        descriptor = os.open(accepted_path(root, tally_home), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Accepted(root)
    with os.fdopen(descriptor, "rb") as stream:
        document = json.loads(stream.read(4 * MOST_POLICY_BYTES))
    if not isinstance(document, dict) or not isinstance(document.get("rules", {}), dict):
        raise ValueError("expected a JSON object with rules")  # noqa: TRY004 - as json raises
    return Accepted(root, document)


def mode_for(accepted: Accepted, *, can_rewrite: bool) -> str:
    """The mode in force for one agent: the accepted one, else convert; deny where it cannot be."""
    wanted = accepted.mode or CONVERT
    return DENY if wanted == CONVERT and not can_rewrite else wanted


def _is_directory(path: str) -> bool:
    return os.path.isdir(path)


def _optional(found: Mapping[str, Any], name: str, shape: type) -> Any:
    value = found.get(name)
    if value is not None and type(value) is not shape:
        raise ValueError(f"{name}: expected {shape.__name__}; found {type(value).__name__}")
    return value


def _texts(rules: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = rules.get(name, ())
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"{name}: expected a list of texts")
    return tuple(found)
