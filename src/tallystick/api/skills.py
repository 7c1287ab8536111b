"""The protocol texts as they are served: loaded once, unchangeable while the server runs (P7.6).

Each is a folder below `protocol_texts/` with a SKILL.md, whose head names it, and pages that it
refers to. Some of those pages are served under the ids that older agents know, too. The digest of
every file is published to the ledger at each start.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

MAIN_FILE: Final = "SKILL.md"
PROTOCOL: Final = "tallystick-protocol"
"""The text to start with, and the one that is installed as a skill."""

_OLDER_IDS: Final = {
    "wild_v2_sweep_run_audit_protocol": "references/registering.md",
    "wild_v2_execution_ops_protocol": "references/operating.md",
    "wild_v2_gpu_discovery_parallel_scheduling": "references/parallel.md",
}
"""Pages of the protocol by the ids under which older agents ask for them."""

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
        return _digest(self.files[MAIN_FILE])

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
    loaded = {item.name: _load(item) for item in folder.iterdir() if _is_text(item)}
    pages = loaded[PROTOCOL].files
    older = {key: _page(key, pages[path]) for key, path in _OLDER_IDS.items()}
    return dict(sorted({**loaded, **older}.items()))


def published_texts() -> list[Published]:
    """Id, text and digest of each file, for the ledger; a main file goes by its text's own id."""
    return [
        Published(
            id=skill.id if path == MAIN_FILE else f"{skill.id}/{path}",
            text=content,
            sha256=_digest(content),
        )
        for skill in load_skills().values()
        for path, content in sorted(skill.files.items())
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


def _is_text(item: Traversable) -> bool:
    """Whether a folder holds a text, and not what some interpreter left behind."""
    return item.is_dir() and (item / MAIN_FILE).is_file()


def _load(folder: Traversable) -> Skill:
    """A folder with its main file and its pages."""
    files = dict(_files(folder))
    head, template = _split(files[MAIN_FILE])
    return Skill(
        id=folder.name,
        name=head["name"],
        description=head["description"],
        category=head["category"],
        template=template,
        variables=(),
        files=files,
    )


def _files(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    """Path and content of every file in a folder."""
    for item in folder.iterdir():
        if item.is_dir():
            yield from _files(item, f"{above}{item.name}/")
        else:
            yield f"{above}{item.name}", item.read_bytes().decode()


def _page(key: str, content: str) -> Skill:
    """A page as a text of its own: its title is the name, its first paragraph what it is about."""
    title, _, rest = content.partition("\n\n")
    return Skill(
        id=key,
        name=title.removeprefix("# "),
        description=" ".join(rest.partition("\n\n")[0].split()),
        category="skill",
        template=content.strip(),
        variables=(),
        files={MAIN_FILE: content},
    )


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _split(content: str) -> tuple[dict[str, str], str]:
    """The head between two lines of dashes, as keys and values, and the text after it.

    A key inside another (`metadata`) is one like any other; the validator of skills allows no more.
    """
    head, _, template = content.removeprefix("---\n").partition("\n---\n")
    pairs = (line.partition(":") for line in head.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}, template.strip()
