"""Settings: one frozen tree, loaded once; the server's only reader of the environment.

Sources in order: flag, `TALLY_…`, `tally.toml`, default. Unknown keys are errors. Secrets print as
stars. Units stand in the names.
"""

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tallystick.errors import InvalidError

CONFIG_FILE = "tally.toml"


class Secret:
    """A value that never shows itself; `reveal` is called where it is used and nowhere else."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Wrap `value`."""
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "********"

    __str__ = __repr__


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/tallystick`, else `~/.local/share/tallystick`."""
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "tallystick"


_BASE_NAMES = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"})


def base_environment() -> dict[str, str]:
    """What a run gets from the server's own environment: nothing that could be a secret."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _BASE_NAMES or name.startswith("LC_")
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where it listens, where it keeps things, where runs start."""

    host: str = "127.0.0.1"
    """Address to listen on; loopback unless told otherwise (P9.1)."""
    port: int = 8787
    """0 picks a free one."""
    data_dir: Path = field(default_factory=default_data_dir)
    """Ledger, keys, tokens and run directories; private to the user."""
    workspace: Path = field(default_factory=Path.cwd)
    """Working directory of runs that name none."""
    ready_file: Path | None = None
    """Written with url, pid and token_file once requests are answered."""
    max_body_bytes: int = 4 * 1024 * 1024
    """A larger request body is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the ledger and its tables live."""

    url: Secret | None = None
    """SQLAlchemy URL; SQLite in the data directory by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """Credentials that come from outside."""

    admin_token: Secret | None = None
    """The administrator's token, at least 32 characters; made up and kept in a file by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    """How runs are executed."""

    max_concurrent: int | None = None
    """Runs at a time; by default the number of cores, or of GPUs where there are more."""
    grace_seconds: float = 10.0
    """Between TERM and KILL when a run is stopped."""
    poll_seconds: float = 2.0
    """Wake-ups are hints; losing all of them only adds this much."""
    record_tree: bool = True
    """Record the exact git working tree before every start."""
    gpus: str | None = None
    """GPUs that may be handed out: `all` (the default), `none`, or indexes and UUIDs with commas
    between them."""
    default_gpus: int | None = None
    """GPUs of a run that does not say how many; by default 1 where there are any."""
    breaker_failures: int = 5
    """So many runs of a sweep that fail the same way, one after the other and each within a minute
    of its start, pause it; 0 never does."""
    sample_seconds: float = 10.0
    """How often the CPU, memory, disk and network use of a run's processes is sampled; 0 never."""
    silence_minutes: float = 0.0
    """Raise an alert when a run has printed nothing for so long; 0 never does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSettings:
    """Which files of a run are kept when it has ended, and where."""

    store: str | None = None
    """Where their bytes go: `s3://bucket/prefix`, `gs://…`, `az://…`; a folder of the data
    directory by default. Needs the extra `objects`; credentials are read from the environment."""
    max_files: int = 2_000
    """Files that one look keeps; what is left out is named in the record."""
    max_file_mb: int = 2_048
    """A larger file is left out. An upload of more is refused."""
    max_total_mb: int = 20_480
    """Of all files that one look keeps."""
    ignore: str = "*.tmp,*.lock,*.pyc,__pycache__,.git,.cache,.DS_Store,node_modules"
    """Patterns of names, of files or of directories, with commas between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Who is told what happened, beside those who ask."""

    webhooks: Secret | None = None
    """URLs, with blanks between them, that are sent signed JSON (Standard Webhooks)."""
    webhook_secret: Secret | None = None
    """What webhooks are signed with: `whsec_` and base64 of 24 to 64 bytes."""
    channels: Secret | None = None
    """Apprise URLs, with blanks between them: desktop, mail, chat; needs the extra `notify`."""
    events: str | None = None
    """Which events, with commas between them; all by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings."""

    server: ServerSettings = field(default_factory=ServerSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    artifacts: ArtifactSettings = field(default_factory=ArtifactSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)

    @property
    def database_url(self) -> str:
        """The database to open."""
        if self.database.url is not None:
            return self.database.url.reveal()
        return f"sqlite:///{self.server.data_dir / 'tally.db'}"


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting as it is in force, and where it came from."""

    key: str
    value: str
    source: str


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> tuple[Settings, list[Origin]]:
    """Settings and their origins; raises `InvalidError` naming the key that is wrong.

    `flags` maps keys such as `server.port` to values; None values count as absent.
    """
    env = os.environ if environment is None else environment
    path = config_file or _found_file(env)
    document = _read_file(path) if path else {}
    settings = Settings()
    origins: list[Origin] = []
    sections = {}
    for section in fields(settings):
        current = getattr(settings, section.name)
        given = document.pop(section.name, {})
        if not isinstance(given, dict):
            raise InvalidError(f"{path}: [{section.name}] must be a table")
        changes = {}
        for item in fields(current):
            key = f"{section.name}.{item.name}"
            default = getattr(current, item.name)
            raw, source = _pick(key, flags or {}, env, given, path)
            value = default if source == "default" else _convert(key, str(item.type), raw)
            changes[item.name] = value
            origins.append(Origin(key, "" if value is None else str(value), source))
        if given:
            raise InvalidError(
                f"{path}: unknown setting {section.name}.{next(iter(given))}",
                code="setting_unknown",
            )
        sections[section.name] = replace(current, **changes)
    if document:
        raise InvalidError(
            f"{path}: unknown section [{next(iter(document))}]", code="setting_unknown"
        )
    _refuse_unknown(env, {variable_of(origin.key) for origin in origins}, settings)
    return replace(settings, **sections), origins


def _refuse_unknown(env: Mapping[str, str], known: set[str], settings: Settings) -> None:
    """A variable that names a section, and no setting of it, was meant to do something."""
    prefixes = tuple(f"TALLY_{section.name.upper()}_" for section in fields(settings))
    for name in sorted(env):
        if name.startswith(prefixes) and name not in known | _OF_CLIENTS:
            raise InvalidError(f"{name}: unknown setting", code="setting_unknown")


def _found_file(env: Mapping[str, str]) -> Path | None:
    """`$TALLY_CONFIG`, else tally.toml in the current directory, else none."""
    named = env.get("TALLY_CONFIG")
    if named:
        return Path(named)
    here = Path.cwd() / CONFIG_FILE
    return here if here.is_file() else None


def _read_file(path: Path) -> dict[str, Any]:
    """Parsed TOML."""
    try:
        return tomllib.loads(path.read_bytes().decode())
    except (OSError, ValueError) as error:  # not UTF-8, or not TOML
        raise InvalidError(
            f"{path}: cannot be read: {error}", code="settings_unreadable"
        ) from error


_SHORT = {
    "server.host": "TALLY_HOST",
    "server.port": "TALLY_PORT",
    "server.data_dir": "TALLY_DATA_DIR",
    "server.workspace": "TALLY_WORKSPACE",
    "server.ready_file": "TALLY_READY_FILE",
    "database.url": "TALLY_DATABASE_URL",
    "auth.admin_token": "TALLY_ADMIN_TOKEN",
}
"""Variables that people type often; every other key is TALLY_SECTION_KEY."""

_OF_CLIENTS = frozenset({"TALLY_SERVER_URL"})
"""Variables that look like those of a section, and tell clients something."""


def variable_of(key: str) -> str:
    """The environment variable of a setting."""
    return _SHORT.get(key) or "TALLY_" + key.replace(".", "_").upper()


def _pick(
    key: str,
    flags: Mapping[str, Any],
    env: Mapping[str, str],
    given: dict[str, Any],
    path: Path | None,
) -> tuple[Any, str]:
    """The first source that has the key; it is taken out of `given`."""
    name = key.split(".")[1]
    from_file = given.pop(name, None)
    if flags.get(key) is not None:
        return flags[key], "flag"
    variable = variable_of(key)
    if env.get(variable):
        return env[variable], variable
    if from_file is not None:
        return from_file, str(path)
    return None, "default"


def _convert(key: str, hint: str, raw: Any) -> Any:
    """A raw value as the type that its field names."""
    is_text = not any(kind in hint for kind in ("bool", "int", "float"))
    if is_text and not isinstance(raw, str | Path):
        raise InvalidError(
            f"{key}: expected text, found {type(raw).__name__}", code="setting_invalid"
        )
    if not str(raw):
        raise InvalidError(f"{key}: expected text, found none", code="setting_invalid")
    if "Secret" in hint:
        return Secret(str(raw))
    if "Path" in hint:
        return Path(str(raw)).expanduser().absolute()
    if "bool" in hint:
        return _boolean(key, raw)
    if "int" in hint or "float" in hint:
        return _number(key, raw, whole="int" in hint)
    return str(raw)


def _boolean(key: str, raw: Any) -> bool:
    """true, false, and what people type for them."""
    word = str(raw).lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise InvalidError(f"{key}: expected true or false, found {raw!r}", code="setting_invalid")


_ABOVE_ZERO = frozenset(
    {"server.max_body_bytes", "execution.max_concurrent", "execution.poll_seconds"}
)
"""Settings with which nothing would work when they were 0."""


def _number(key: str, raw: Any, *, whole: bool) -> int | float:
    """A finite number that is not negative, and within what its setting allows."""
    try:
        value = int(str(raw)) if whole else float(str(raw))
    except ValueError:
        value = -1
    expected = "a whole number" if whole else "a number"
    expected += " above 0" if key in _ABOVE_ZERO else " from 0 on"
    if key == "server.port":
        expected += " up to 65535"
    too_small = value < 0 or (value == 0 and key in _ABOVE_ZERO)
    too_large = value == math.inf or (key == "server.port" and value > 65_535)
    if too_small or too_large or value != value:  # noqa: PLR0124 - NaN is not itself
        raise InvalidError(f"{key}: expected {expected}, found {raw!r}", code="setting_invalid")
    return value
