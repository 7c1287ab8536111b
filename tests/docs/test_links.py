"""Links between documents lead somewhere, and the documents that are promised exist."""

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])

PROMISED = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "AGENTS.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/tutorial/first-sweep.md",
    "docs/howto/verify-offline.md",
    "docs/howto/tokens.md",
    "docs/howto/backup.md",
    "docs/howto/postgres.md",
    "docs/howto/trouble.md",
    "docs/reference/http-api.md",
    "docs/reference/cli.md",
    "docs/reference/settings.md",
    "docs/reference/events.md",
    "docs/reference/errors.md",
    "docs/reference/glossary.md",
    "docs/spec/audit-protocol.md",
    "docs/spec/ledger-format.md",
    "docs/spec/supervisor-protocol.md",
    "docs/spec/fault-table.md",
    "docs/explanation/why-event-sourcing.md",
    "docs/explanation/performance.md",
    "docs/explanation/threat-model.md",
    "docs/explanation/dependencies.md",
    "docs/explanation/pitfalls.md",
    "docs/explanation/scope.md",
    "docs/explanation/why-not-mlflow.md",
)


@pytest.mark.parametrize("path", PROMISED)
def test_a_promised_document_says_something(path: str) -> None:
    text = (REPOSITORY / path).read_text()
    assert text.startswith("# ")
    assert len(text) > 400


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = without_code(document.read_text())
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(file: Path) -> set[str]:
    """The anchors of a document's headings, as they are commonly made."""
    headings = re.findall(r"^#+ (.+)$", without_code(file.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^\w -]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def test_decisions_are_numbered_without_gaps_and_short() -> None:
    records = sorted((REPOSITORY / "docs" / "adr").glob("[0-9]*.md"))
    numbers = [int(record.name[:4]) for record in records]
    assert numbers == list(range(1, len(numbers) + 1))
    for record in records:
        text = record.read_text()
        assert len(text.splitlines()) <= 60, record.name
        for part in ("## Context", "## Options", "## Decision", "## Consequences"):
            assert part in text, record.name


def test_every_dependency_is_explained() -> None:
    page = (REPOSITORY / "docs" / "explanation" / "dependencies.md").read_text()
    project = (REPOSITORY / "pyproject.toml").read_text()
    names = set(re.findall(r'"([A-Za-z0-9_.-]+)(?:\[\w+\])?>=', project))
    assert len(names) > 15
    assert sorted(name for name in names if f"| `{name}` |" not in page) == []


def test_fragments_say_what_kind_of_change_they_are() -> None:
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "changelog.d")
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    for name in listed.stdout.split():
        assert re.fullmatch(r"changelog\.d/(README|[\w-]+\.(breaking|change|fix))\.md", name)
