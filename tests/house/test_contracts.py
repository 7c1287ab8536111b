"""The import contracts of pyproject.toml hold, and are the ones that the house is built on."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")


def lint(directory: Path, *, search: Path) -> subprocess.CompletedProcess[str]:
    """Run the linter where `directory` holds a pyproject.toml."""
    return subprocess.run(
        (str(LINTER), "--no-cache"),
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(search), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def contracts() -> list[dict[str, Any]]:
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = document["tool"]["importlinter"]["contracts"]
    return found


def test_every_contract_is_kept() -> None:
    result = lint(REPOSITORY, search=REPOSITORY / "src")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(contracts())} kept, 0 broken." in result.stdout


def test_a_package_without_a_rung_breaks_the_ladder() -> None:
    ladder = contracts()[0]
    assert ladder["type"] == "layers"
    assert ladder["exhaustive"] is True


def test_the_rules_may_not_reach_the_world() -> None:
    (rules,) = (
        each
        for each in contracts()
        if each.get("source_modules")
        == ["tallystick.domain", "tallystick.shell", "tallystick.intake"]
    )
    assert {"tallystick.db", "asyncio", "os", "time", "random"} <= set(rules["forbidden_modules"])


def test_the_linter_can_fail(tmp_path: Path) -> None:
    package = tmp_path / "house"
    for name in ("domain", "db"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "domain" / "run.py").write_text("import house.db\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_package = "house"\n[[tool.importlinter.contracts]]\n'
        'name = "ladder"\ntype = "layers"\ncontainers = ["house"]\nlayers = ["db", "domain"]\n'
    )
    result = lint(tmp_path, search=tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "ladder BROKEN" in result.stdout
