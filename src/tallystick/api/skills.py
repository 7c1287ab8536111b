"""The protocol texts as they are served: loaded once, unchangeable while the server runs (P7.6).

Each is a folder below `protocol_texts/` with a SKILL.md, whose head names it. The digest of every
text is published to the ledger at each start.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

MAIN_FILE: Final = "SKILL.md"

Skills = Mapping[str, "Skill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """One text with its files."""

    id: str
    name: str
    description: str
    category: str
    template: str
    """The text without its head."""
    variables: tuple[str, ...]
    files: Mapping[str, str]
    """Contents by path."""

    def view(self) -> dict[str, Any]:
        """The text under the names that agents read."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "template": self.template,
            "category": self.category,
            "variables": list(self.variables),
            "built_in": True,
            "internal": True,
            "sha256": self.sha256,
        }

    @property
    def sha256(self) -> str:
        """Digest of the main file's bytes, 64 hex digits."""
        return hashlib.sha256(self.files[MAIN_FILE].encode()).hexdigest()

    def file_views(self) -> list[dict[str, Any]]:
        """Its files, without their contents."""
        return [
            {
                "name": path.rpartition("/")[2],
                "path": path,
                "type": "file",
                "size": len(content.encode()),
            }
            for path, content in sorted(self.files.items())
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the ledger is told about one text."""

    id: str
    text: str
    sha256: str


def load_skills() -> Skills:
    """Every text that is served, by id."""
    folder = resources.files("tallystick.api") / "protocol_texts"
    loaded = [_load(item) for item in folder.iterdir() if item.is_dir()]
    return {skill.id: skill for skill in sorted(loaded, key=lambda skill: skill.id)}


def published_texts() -> list[Published]:
    """Id, text and digest of each, for the ledger."""
    return [
        Published(id=skill.id, text=skill.files[MAIN_FILE], sha256=skill.sha256)
        for skill in load_skills().values()
    ]


def search(skills: Skills, query: str, *, limit: int) -> list[Skill]:
    """Texts that mention every word of `query`, those with it in their name first."""
    words = query.lower().split()
    scored = []
    for skill in skills.values():
        fields = (f"{skill.id} {skill.name}", skill.description, skill.template)
        weights = [_score(word, fields) for word in words]
        if all(weights):
            scored.append((-sum(weights), skill.id, skill))
    return [skill for _, _, skill in sorted(scored)[:limit]]


def _score(word: str, fields: Sequence[str]) -> int:
    """6 for a hit in the name, 3 in the description, 1 in the text."""
    return sum(
        weight for weight, text in zip((6, 3, 1), fields, strict=True) if word in text.lower()
    )


def _load(folder: Traversable) -> Skill:
    files = {item.name: item.read_bytes().decode() for item in folder.iterdir() if item.is_file()}
    head, template = _split(files[MAIN_FILE])
    return Skill(
        id=folder.name,
        name=head.get("name", folder.name),
        description=head.get("description", ""),
        category=head.get("category", "skill"),
        template=template,
        variables=(),
        files=files,
    )


def _split(content: str) -> tuple[dict[str, str], str]:
    """The head between two lines of dashes, as keys and values, and the text after it."""
    if not content.startswith("---\n"):
        return {}, content
    head, _, template = content.removeprefix("---\n").partition("\n---\n")
    pairs = (line.partition(":") for line in head.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}, template.strip()
