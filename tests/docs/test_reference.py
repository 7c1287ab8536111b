"""The reference pages say what the code says, and the code has nothing that they leave out."""

import dataclasses
import re
from pathlib import Path

import pytest

from docs.generate import DOCS, PAGES, README
from docs.pages import commands, errors
from tallystick import config
from tallystick.api.app import ENDPOINTS
from tallystick.domain.codec import EVENT_TYPES

PACKAGE = Path(config.__file__).parent


def reference(name: str) -> str:
    return (DOCS / "reference" / name).read_text()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_what_the_code_says(path: str) -> None:
    assert (DOCS / path).read_text() == PAGES[path](), "run `make docs`"


def test_the_help_in_the_readme_is_the_help_of_the_program() -> None:
    text = README.read_text()
    assert len(commands.HELP_BLOCK.findall(text)) == 1
    assert commands.with_help(text) == text, "run `make docs`"


def test_every_setting_has_a_row() -> None:
    page = reference("settings.md")
    _, origins = config.load({}, environment={}, config_file=Path("/dev/null"))
    assert len(origins) >= 10
    for origin in origins:
        section, name = origin.key.split(".")
        row = rf"^\| `{name}` \| `{config.variable_of(origin.key)}` \| [^|]+ \| [^|]{{5,}} \|$"
        assert f"## `[{section}]`" in page
        assert re.search(row, page, re.MULTILINE), origin.key


def test_every_setting_has_a_section_of_its_own() -> None:
    names = {field.name for field in dataclasses.fields(config.Settings)}
    assert names == set(re.findall(r"^## `\[(\w+)\]`$", reference("settings.md"), re.MULTILINE))


def test_every_entry_type_is_described() -> None:
    described = set(re.findall(r"^## `([\w.]+)`$", reference("events.md"), re.MULTILINE))
    assert described == set(EVENT_TYPES)


def test_every_code_in_the_source_is_listed() -> None:
    """Found by a plain search here, by a parser there: what either misses the other may see."""
    source = "\n".join(file.read_text() for file in PACKAGE.rglob("*.py"))
    named = set(re.findall(r"""\b(?<!\.)code=["']([a-z_]+)["']""", source))
    named |= set(re.findall(r"""default_code\b.*= ["']([a-z_]+)["']""", source))
    page = reference("errors.md")
    assert len(named) > 60
    assert sorted(code for code in named if f"| `{code}` |" not in page) == []


def test_every_class_that_carries_a_code_is_on_the_page() -> None:
    shapes = {said.shape for said in errors.said_in_code()}
    others = {"Notice", "Warning", "Ended", "CommandRefused", "partial"}
    assert sorted(shapes - set(errors.STATUS) - others) == []


def test_every_route_is_described() -> None:
    page = reference("http-api.md")
    shown = [each for each in ENDPOINTS if not each.hidden]
    assert len(shown) > 30
    for endpoint in shown:
        assert f"\n## `{endpoint.method} {endpoint.path}`\n" in page
        for query in endpoint.query:
            assert f"| `{query.name}` |" in page
    for endpoint in ENDPOINTS:
        assert f"`{endpoint.method} {endpoint.path}`" in page or endpoint.path == "/docs/{file}"


def test_every_command_is_described() -> None:
    described = re.findall(r"^## `(tally[\w -]*)`$", reference("cli.md"), re.MULTILINE)
    assert described == [name for name, _ in commands.helps()]
    assert "tally run create" in described
