"""Reads the labelled texts of this folder; the format is in README.md."""

import re
from pathlib import Path
from typing import Final, NamedTuple

CORPUS: Final = Path(__file__).parent
PROJECT: Final = CORPUS / "project"
"""Where the commands are judged."""
_HEADING: Final = re.compile(r"### (?P<label>\w+)(?: in (?P<where>[^:]+))?: (?P<name>.+)")


class Entry(NamedTuple):
    """One labelled text."""

    label: str
    name: str
    text: str
    place: str
    """The file and its line."""
    where: str = ""
    """The directory below `PROJECT` in which a command is typed."""


def read(file: Path) -> list[Entry]:
    """The entries of a file; raises `ValueError` for a heading that is none."""
    found: list[tuple[int, re.Match[str], list[str]]] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("### "):
            match = _HEADING.fullmatch(line)
            if match is None:
                raise ValueError(f"{file}:{number}: expected `### label: name`; found {line!r}")
            found.append((number, match, []))
        elif found:
            found[-1][2].append(line)
        elif line.strip():
            raise ValueError(f"{file}:{number}: text before the first heading")
    return [
        Entry(
            label=match["label"],
            name=match["name"],
            text="\n".join(lines).rstrip("\n"),
            place=f"{file.parent.name}/{file.name}:{number}",
            where=match["where"] or "",
        )
        for number, match, lines in found
    ]


def commands(folder: str) -> list[Entry]:
    """Every entry of `commands` or `held_out`, file by file."""
    return [entry for file in sorted((CORPUS / folder).glob("*.txt")) for entry in read(file)]
