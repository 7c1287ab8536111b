"""The table of tools: what each takes, answers and does, and how dangerous it is.

Ten are listed. The names that agents with older prompts call are understood without being listed,
because a longer list costs every conversation; where an agent's program offers its model only what
is listed, `older` lists them in the place of two others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import Tool as ListedTool
from mcp_types import ToolAnnotations

from tallystick.mcp import arguments, tools
from tallystick.mcp.answers import (
    Answer,
    BriefAnswer,
    HelpPage,
    RunAnswer,
    RunList,
    Said,
    Stopped,
    SweepAnswer,
    Waited,
)
from tallystick.mcp.pages import tally_help
from tallystick.mcp.stopping import stop_run
from tallystick.mcp.words import DESCRIPTIONS

READS: Final = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
CREATES: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
REPEATS: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
ENDS: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool."""

    name: str
    takes: type[arguments.Arguments]
    answers: type[Answer]
    act: Callable[..., Said] | None
    """`(asked, arguments)`; None for the one that waits, which is not done on a worker thread."""
    kind: ToolAnnotations

    def listed(self) -> ListedTool:
        """As an agent's program sees it."""
        return ListedTool(
            name=self.name,
            title=self.name.replace("_", " ").capitalize(),
            description=DESCRIPTIONS[self.name],
            input_schema=arguments.schema_of(self.takes),
            output_schema=arguments.answer_schema_of(self.answers),
            annotations=self.kind,
        )


def _help(asked: Any, given: arguments.TallyHelp) -> Said:
    return tally_help(given, source=asked.source)


def _tool(
    name: str,
    takes: type[arguments.Arguments],
    answers: type[Answer],
    act: Callable[..., Said] | None,
    kind: ToolAnnotations,
) -> tuple[str, Tool]:
    return name, Tool(name=name, takes=takes, answers=answers, act=act, kind=kind)


TOOLS: Final[Mapping[str, Tool]] = dict(
    (
        _tool(
            "register_sweep", arguments.RegisterSweep, SweepAnswer, tools.register_sweep, CREATES
        ),
        _tool("register_run", arguments.RegisterRun, RunAnswer, tools.register_run, CREATES),
        _tool("submit_runs", arguments.SubmitRuns, SweepAnswer, tools.submit_runs, CREATES),
        _tool("get_run", arguments.GetRun, RunAnswer, tools.get_run, READS),
        _tool("wait_run", arguments.WaitRun, Waited, None, READS),
        _tool("list_runs", arguments.ListRuns, RunList, tools.list_runs, READS),
        _tool("get_sweep", arguments.GetSweep, SweepAnswer, tools.get_sweep, READS),
        _tool("stop_run", arguments.StopRun, Stopped, stop_run, ENDS),
        _tool("get_brief", arguments.GetBrief, BriefAnswer, tools.get_brief, READS),
        _tool("tally_help", arguments.TallyHelp, HelpPage, _help, READS),
        _tool("create_run", arguments.CreateRun, RunAnswer, tools.create_run, CREATES),
        _tool("start_run", arguments.StartRun, RunAnswer, tools.start_run, REPEATS),
    )
)
"""Every tool that is understood, by its name."""

WAITS: Final = "wait_run"
OLDER_NAMES: Final = ("create_run", "start_run")
_REPLACED: Final = ("register_run", "get_brief")


def listed(*, older: bool = False) -> list[ListedTool]:
    """The tools that are listed, ten at most; with `older` those that older prompts name."""
    left_out = _REPLACED if older else OLDER_NAMES
    return [tool.listed() for tool in TOOLS.values() if tool.name not in left_out]
