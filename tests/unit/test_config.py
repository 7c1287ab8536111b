"""Settings: sources in order, unknown keys, secrets, every single one."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tallystick.config import (
    Secret,
    Settings,
    base_environment,
    default_data_dir,
    load,
    variable_of,
)
from tallystick.errors import InvalidError

# Every setting: a value as it is typed, and what it becomes.
VALUES: dict[str, tuple[str, Any]] = {
    "server.host": ("::1", "::1"),
    "server.port": ("0", 0),
    "server.data_dir": ("/srv/tally", Path("/srv/tally")),
    "server.workspace": ("/srv/work", Path("/srv/work")),
    "server.ready_file": ("/run/ready", Path("/run/ready")),
    "server.max_body_bytes": ("1024", 1024),
    "database.url": ("postgresql://me:hunter2@db/x", "postgresql://me:hunter2@db/x"),
    "auth.admin_token": ("hunter2" * 5, "hunter2" * 5),
    "execution.max_concurrent": ("3", 3),
    "execution.grace_seconds": ("0.5", 0.5),
    "execution.poll_seconds": ("9", 9.0),
    "execution.record_tree": ("off", False),
    "execution.gpus": ("0,2", "0,2"),
    "execution.default_gpus": ("0", 0),
    "execution.breaker_failures": ("3", 3),
    "execution.sample_seconds": ("0.5", 0.5),
    "execution.silence_minutes": ("0.5", 0.5),
    "artifacts.max_files": ("7", 7),
    "artifacts.max_file_mb": ("8", 8),
    "artifacts.max_total_mb": ("9", 9),
    "artifacts.ignore": ("*.tmp", "*.tmp"),
    "artifacts.store": ("s3://a/b", "s3://a/b"),
    "notify.webhooks": ("https://a/x https://b/y", "https://a/x https://b/y"),
    "notify.webhook_secret": ("whsec_" + "hunter2" * 5, "whsec_" + "hunter2" * 5),
    "notify.channels": ("mailto://me:hunter2@here", "mailto://me:hunter2@here"),
    "notify.events": ("alert,run_failed", "alert,run_failed"),
}
SECRETS = {
    "database.url",
    "auth.admin_token",
    "notify.webhooks",
    "notify.webhook_secret",
    "notify.channels",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a tally.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def value_of(settings: Settings, key: str) -> Any:
    section, name = key.split(".")
    found = getattr(getattr(settings, section), name)
    return found.reveal() if isinstance(found, Secret) else found


def toml(key: str, typed: str) -> str:
    section, name = key.split(".")
    bare = typed in {"0", "1024", "3", "0.5", "9"}
    shown = "false" if typed == "off" else typed if bare else f'"{typed}"'
    return f"[{section}]\n{name} = {shown}\n"


def test_every_setting_is_tried_below() -> None:
    settings = Settings()
    keys = {
        f"{section.name}.{item.name}"
        for section in fields(settings)
        for item in fields(getattr(settings, section.name))
    }
    assert keys == set(VALUES)


@pytest.mark.parametrize("key", VALUES)
def test_every_setting_can_come_from_each_source_in_their_order(key: str, tmp_path: Path) -> None:
    typed, expected = VALUES[key]
    config = tmp_path / "given.toml"
    config.write_text(toml(key, typed))

    def found(**kwargs: Any) -> tuple[Any, str]:
        settings, origins = load(**{"environment": {}, **kwargs})
        (source,) = [origin.source for origin in origins if origin.key == key]
        return value_of(settings, key), source

    default = value_of(Settings(), key)
    assert found() == (default, "default")
    assert found(config_file=config) == (expected, str(config))
    variable = variable_of(key)
    assert variable.startswith("TALLY_")
    assert found(environment={variable: typed}) == (expected, variable)
    assert found(environment={variable: ""}) == (default, "default")
    assert found(flags={key: typed}) == (expected, "flag")
    assert found(flags={key: None}) == (default, "default")
    wrong = {"environment": {variable: "1"}, "flags": {key: typed}, "config_file": config}
    assert found(**wrong) == (expected, "flag")


def test_every_variable_is_of_one_setting() -> None:
    assert len({variable_of(key) for key in VALUES}) == len(VALUES)


def test_the_defaults_are_safe() -> None:
    settings, _ = load(environment={})
    assert settings.server.host == "127.0.0.1"
    assert settings.database_url == f"sqlite:///{settings.server.data_dir / 'tally.db'}"
    assert settings.execution.max_concurrent is None
    assert settings.auth.admin_token is None


@pytest.mark.parametrize("key", sorted(SECRETS))
def test_secrets_never_show_themselves(key: str) -> None:
    typed, _ = VALUES[key]
    settings, origins = load(flags={key: typed}, environment={})
    shown = f"{settings} {settings!r} {origins} {[str(origin.value) for origin in origins]}"
    section, name = key.split(".")
    secret = getattr(getattr(settings, section), name)
    shown += f"{secret} {secret!r} {[secret]}"
    assert "hunter2" not in shown
    assert "********" in shown
    assert secret.reveal() == typed


def test_the_file_is_found_beside_one_and_named_by_the_environment(elsewhere: Path) -> None:
    (elsewhere / "tally.toml").write_text("[server]\nport = 1\n")
    assert load(environment={})[0].server.port == 1
    (elsewhere / "other.toml").write_text("[server]\nport = 2\n")
    environment = {"TALLY_CONFIG": str(elsewhere / "other.toml")}
    assert load(environment=environment)[0].server.port == 2
    chosen = elsewhere / "tally.toml"
    assert load(environment=environment, config_file=chosen)[0].server.port == 1


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("[server]\nprot = 1\n", "setting_unknown", "server.prot"),
        ("[sever]\nport = 1\n", "setting_unknown", "[sever]"),
        ("port = 1\n", "setting_unknown", "[port]"),
        ("server = 5\n", "invalid", "[server] must be a table"),
        ("[server\n", "settings_unreadable", "cannot be read"),
        ("[server]\nport = 1\nport = 2\n", "settings_unreadable", "cannot be read"),
        ("[server]\nport = true\n", "setting_invalid", "server.port"),
        ("[server]\nport = 1.5\n", "setting_invalid", "server.port"),
        ("[server]\nport = 65536\n", "setting_invalid", "server.port"),
        ("[server]\nport = -1\n", "setting_invalid", "server.port"),
        ("[server]\nhost = ['a']\n", "setting_invalid", "server.host"),
        ("[server]\nhost = ''\n", "setting_invalid", "server.host"),
        ("[server]\ndata_dir = 5\n", "setting_invalid", "server.data_dir"),
        ("[server]\nmax_body_bytes = 0\n", "setting_invalid", "above 0"),
        ("[execution]\nmax_concurrent = 0\n", "setting_invalid", "above 0"),
        ("[execution]\npoll_seconds = 0\n", "setting_invalid", "above 0"),
        ("[execution]\npoll_seconds = nan\n", "setting_invalid", "poll_seconds"),
        ("[execution]\ngrace_seconds = inf\n", "setting_invalid", "grace_seconds"),
        ("[execution]\ngrace_seconds = 'soon'\n", "setting_invalid", "grace_seconds"),
        ("[execution]\nrecord_tree = 'perhaps'\n", "setting_invalid", "record_tree"),
        ("[auth]\nadmin_token = 12345\n", "setting_invalid", "auth.admin_token"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(
    tmp_path: Path, content: str, code: str, words: str
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(content)
    with pytest.raises(InvalidError) as refusal:
        load(environment={}, config_file=config)
    assert refusal.value.code == code
    assert words in refusal.value.detail
    assert "12345" not in refusal.value.detail


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    config = tmp_path / "c.toml"
    if content is not None:
        config.write_bytes(content)
    with pytest.raises(InvalidError) as refusal:
        load(environment={"TALLY_CONFIG": str(config)})
    assert refusal.value.code == "settings_unreadable"
    assert str(config) in refusal.value.detail


@pytest.mark.parametrize("word", ["1", "true", "YES", "on", "0", "False", "no", "OFF"])
def test_people_say_true_and_false_in_many_ways(word: str) -> None:
    found = load(environment={"TALLY_EXECUTION_RECORD_TREE": word})[0].execution.record_tree
    assert found == (word.lower() in {"1", "true", "yes", "on"})


def test_paths_are_made_absolute_and_the_home_directory_is_known(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    settings, _ = load(flags={"server.data_dir": "~/d", "server.workspace": "w"}, environment={})
    assert settings.server.data_dir == Path("/home/somebody/d")
    assert settings.server.workspace == elsewhere / "w"


def test_the_data_directory_follows_the_desktops_convention(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/x")
    assert default_data_dir() == Path("/x/tallystick")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert default_data_dir() == Path("/h/.local/share/tallystick")


def test_a_run_gets_nothing_of_the_servers_environment_that_could_be_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("TALLY_ADMIN_TOKEN", "hunter2")
    monkeypatch.setenv("LC_ALL", "C")
    found = base_environment()
    assert "hunter2" not in found.values()
    assert found["LC_ALL"] == "C"
    assert set(found) <= {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"),
        *(name for name in found if name.startswith("LC_")),
    }


@pytest.mark.parametrize("name", ["TALLY_EXECUTION_FOO", "TALLY_SERVER_PORT"])
def test_a_variable_that_means_no_setting_is_refused_and_not_ignored(name: str) -> None:
    with pytest.raises(InvalidError, match=f"{name}: unknown setting"):
        load(environment={name: "1"})
    load(environment={"TALLY_SERVER_URL": "http://127.0.0.1:1", "TALLY_RUN_DIR": "/r"})
