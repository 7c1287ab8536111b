"""Whether what is planned will be on the record, and what to add to the plan (P7.1).

Nothing is recorded. Long plans take their time, on the thread for such work.
"""

from typing import Final

from starlette.responses import Response

from tallystick.api import answers
from tallystick.api.bodies import Body
from tallystick.api.call import Call
from tallystick.api.routing import Endpoint, Permission
from tallystick.api.texts import checked_characters
from tallystick.shell.plans import CODES
from tallystick.shell.plans import check as checked
from tallystick.wire.guard_requests import CheckPlan
from tallystick.wire.guard_views import CallView, PlanCheckView, PlanFindingView

_LONGEST_NAME: Final = 500
"""Characters of a file's name."""


async def check(call: Call) -> Response:
    """What in a plan starts experiments, whether it is on the record, and what to add (P7.1).

    Markdown, task lists, shell scripts, Makefiles and notebooks. Nothing is recorded.
    """
    body: CheckPlan = call.body
    text = checked_characters("text", body.text)
    name = checked_characters("name", body.name, longest=_LONGEST_NAME)

    def view() -> PlanCheckView:
        report = checked(text, kind=body.kind, name=name)
        return PlanCheckView(
            needs_experiments=report.needs_experiments,
            compliant=report.compliant,
            findings=[
                PlanFindingView(
                    line=one.line,
                    code=one.code,
                    name=CODES[one.code],
                    text=one.text,
                    detail=one.detail,
                    calls=[CallView(**each) for each in one.calls],
                    cli=list(one.cli),
                )
                for one in report.findings
            ],
            warnings=call.warnings,
        )

    return answers.json(await call.services.parse(view))


ENDPOINTS: Final = (
    Endpoint(
        method="POST",
        path="/plans/check",
        route=check,
        permission=Permission.READ,
        body=Body(CheckPlan),
        answer=PlanCheckView,
    ),
)
