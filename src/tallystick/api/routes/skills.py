"""The protocol texts (P7.6): open to everybody, changed by nobody."""

from typing import Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.call import Call
from tallystick.api.paging import page_size
from tallystick.api.queries import Query
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.schemas import FileContent, FileInfo, SkillView
from tallystick.api.skills import Skill, search
from tallystick.errors import NotFoundError


async def list_skills(call: Call) -> Response:
    """Every protocol text."""
    return answers.json([skill.view() for skill in call.services.skills.values()])


async def search_skills(call: Call) -> Response:
    """Texts that mention every word of `q`; all of them without it."""
    limit: int = call.query["limit"]
    found = search(call.services.skills, call.query["q"], limit=limit)
    return answers.json([skill.view() for skill in found])


async def get_skill(call: Call) -> Response:
    """One protocol text."""
    return answers.json(_skill(call).view())


async def list_files(call: Call) -> Response:
    """The files of one text."""
    return answers.json(_skill(call).file_views())


async def get_file(call: Call) -> Response:
    """One file, as it is served; the ledger holds the digest of SKILL.md."""
    skill, path = _skill(call), call.path["path"]
    content = skill.files.get(path)
    if content is None:
        raise NotFoundError(
            f"File not found: {path[:80]}",
            code="file_not_found",
            next_actions=(f"GET /prompt-skills/{skill.id}/files",),
        )
    return answers.json({"path": path, "content": content})


def _skill(call: Call) -> Skill:
    found = call.services.skills.get(call.path["skill"])
    if found is None:
        raise NotFoundError(
            f"Skill not found: {call.path['skill'][:80]}",
            code="skill_not_found",
            next_actions=("GET /prompt-skills lists the texts there are",),
        )
    return found


ENDPOINTS: Final = (
    Endpoint(
        method="GET",
        path="/prompt-skills",
        route=list_skills,
        permission=Permission.OPEN,
        answer=list[SkillView],
    ),
    Endpoint(
        method="GET",
        path="/prompt-skills/search",
        route=search_skills,
        permission=Permission.OPEN,
        query=(
            Query(name="q", default="", description="Words to look for."),
            page_size(100, 20),
        ),
        answer=list[SkillView],
    ),
    Endpoint(
        method="GET",
        path="/prompt-skills/{skill}",
        route=get_skill,
        permission=Permission.OPEN,
        answer=SkillView,
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/prompt-skills/{skill}/files",
        route=list_files,
        permission=Permission.OPEN,
        answer=list[FileInfo],
        refusals=(404,),
    ),
    Endpoint(
        method="GET",
        path="/prompt-skills/{skill}/files/{path*}",
        route=get_file,
        permission=Permission.OPEN,
        answer=FileContent,
        refusals=(404,),
    ),
)
