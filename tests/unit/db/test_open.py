"""From a URL to a database."""

from pathlib import Path

import pytest

from tallystick.db import postgres
from tallystick.db.open import open_database
from tallystick.db.sqlite import SqliteDatabase
from tallystick.errors import InvalidError


@pytest.mark.parametrize("name", ["tally.db", "it's 100% ours & more #1.db", "tälly.db"])
def test_a_sqlite_url_names_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    database = open_database("sqlite:///" + str(path).replace("%", "%25"))
    try:
        assert isinstance(database, SqliteDatabase)
        assert database.name == "sqlite"
        assert path.is_file()
    finally:
        database.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tally.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "mysql://root:hunter2@localhost/x",
        "postgresql+psycopg2://root:hunter2@localhost/x",
        "postgresql://root:hunter2@localhost:port/x",
    ],
)
def test_any_other_url_is_refused_with_an_example_and_without_its_password(url: str) -> None:
    with pytest.raises(InvalidError) as caught:
        open_database(url)
    assert caught.value.code == "database_url"
    assert "sqlite:///" in (caught.value.hint or "")
    assert "hunter2" not in caught.value.detail


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_args: object, **_options: object) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(postgres, "create_engine", missing)
    with pytest.raises(InvalidError, match="driver") as caught:
        open_database("postgresql://localhost/x")
    assert "tallystick[postgres]" in (caught.value.hint or "")
