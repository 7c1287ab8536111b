"""`tally doctor` asks the real programs what they have loaded."""

import json
import shutil
from typing import Any

from tests.agents.conftest import Project, program
from tests.agents.test_codex import codex_home, trust_hooks


def findings(project: Project) -> dict[str, Any]:
    items = json.loads(project.tally("doctor", "--json", check=False).stdout)
    return {item["check"]: item for item in items}


def test_the_doctor_sees_that_codex_skips_the_guard_until_a_person_approves_it(
    project: Project,
) -> None:
    codex = program("codex", ".bin/codex")
    (project.directory / "bin" / "codex").symlink_to(codex)
    project.tally("init", "--agent", "codex", "--yes")
    unknown = findings(project)["codex trust"]
    assert (unknown["verdict"], "not trusted" in unknown["found"]) == ("fail", True)

    shutil.rmtree(project.home / ".codex")  # Codex makes itself at home when it is asked
    home = codex_home(project, "http://127.0.0.1:1/v1")
    skipped = findings(project)["codex trust"]
    assert skipped["verdict"] == "fail"
    assert "preToolUse is untrusted" in skipped["found"]

    trust_hooks(codex, project, home)
    found = findings(project)
    assert found["codex trust"]["verdict"] == "ok"
    assert found["codex version"]["verdict"] == "ok"
    assert found["codex sandbox"]["verdict"] == "warn"
    assert "network_access = true" in found["codex sandbox"]["mend"]

    settings = (home / "config.toml").read_text()
    (home / "config.toml").write_text(
        f'sandbox_mode = "workspace-write"\n{settings}\n'
        "[sandbox_workspace_write]\nnetwork_access = true\n"
    )
    (project.directory / ".codex/hooks.json").unlink()
    project.tally("init", "--yes")
    found = findings(project)
    assert found["codex sandbox"]["verdict"] == "ok"
    assert found["codex trust"]["verdict"] == "ok", "the same hooks have the same trust"
