"""Whether a command line starts an experiment: the judgement of the guard, of conversion and lint.

Three verdicts (P7.2, P7.3); the strongest finding wins. Nothing is executed and nothing is opened:
scripts are read through `Around.read`. No text makes `judge` raise, and its time is bounded.
"""

from typing import Final

from tallystick.shell.following import Outcome, follow_text
from tallystick.shell.scene import Budget, Scene
from tallystick.shell.steps import shown
from tallystick.shell.verdicts import (
    MOST_SCRIPT_BYTES,
    REASONS,
    Around,
    Judgement,
    Rules,
    Verdict,
    nothing_to_read,
)

__all__ = [
    "MOST_SCRIPT_BYTES", "REASONS", "Around", "Judgement", "Rules", "Verdict", "judge",
    "nothing_to_read",
]  # fmt: skip

_AROUND: Final = Around()
_RULES: Final = Rules()


def judge(command: str, *, around: Around = _AROUND, rules: Rules = _RULES) -> Judgement:
    """What a command line would do in its surroundings, by the rules of its project; never raises.

    The span is the outermost command that leads to the finding; `via` says through what.
    """
    text = command.replace("\0", "\ufffd")
    cwd = around.cwd if around.cwd.startswith("/") else None
    outcome = follow_text(text, Scene(Budget(around, rules), cwd))
    return _judgement(command, outcome)


def _judgement(command: str, outcome: Outcome) -> Judgement:
    """An outcome, with the text it is about."""
    span = outcome.span if outcome.span is not None else (0, len(command))
    return Judgement(
        verdict=outcome.found.verdict,
        reason=outcome.found.reason,
        detail=outcome.found.detail,
        span=span,
        text=command[slice(*span)],
        via=tuple(shown(each) for each in outcome.via),
        exact=outcome.exact,
    )
