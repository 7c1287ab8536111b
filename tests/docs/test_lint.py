"""The pages of lint: one for each code, and what they show is what the rules say."""

import re
from pathlib import Path

import pytest

from tallystick.shell.lint import NAMES, lint
from tallystick.shell.verdicts import Around
from tests.docs.page import REPOSITORY, page, rows

PAGES = REPOSITORY / "docs" / "lint"
WORK = "/home/ada/project"


def test_every_code_has_its_page_and_every_page_its_code() -> None:
    found = {file.stem for file in PAGES.glob("R[0-9]*.md")}
    assert found == {f"{code}-{name}" for code, name in NAMES.items()}


def test_the_index_lists_every_code_with_the_sentence_of_its_page() -> None:
    listed = rows(page("docs/lint/README.md"), "codes")
    assert [row["Name"] for row in listed] == list(NAMES.values())
    for row, (code, name) in zip(listed, NAMES.items(), strict=True):
        assert row["Code"] == f"[{code}]({code}-{name}.md)"
        assert row["What was found"] == text_of(code).split("\n\n")[1]


@pytest.mark.parametrize("code", NAMES)
def test_a_page_says_why_and_how_and_shows_it(code: str) -> None:
    text = text_of(code)
    assert text.startswith(f"# {code} {NAMES[code]}\n\n")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Why it matters", "How to mend it", "Example", "When nothing is said"]
    script = "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    before, after = re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL)
    assert code in codes(before, script)
    assert codes(after, script) == []


def codes(command: str, script: str) -> list[str]:
    files = {f"{WORK}/train.py": script.encode()} if script else {}
    around = Around(cwd=WORK, read=files.get) if script else None
    return [each.code for each in lint(command, workdir=WORK, around=around)]


def text_of(code: str) -> str:
    return Path(PAGES / f"{code}-{NAMES[code]}.md").read_text()
