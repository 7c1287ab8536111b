"""What a supervisor observed, as commands; reading a journal or a request is the same."""

from collections.abc import Sequence

from tallystick.control.texts import Texts
from tallystick.domain import commands as cm
from tallystick.domain.attempt import Attempt
from tallystick.wire import observation as ob


def report_commands(
    attempt: Attempt, observations: Sequence[ob.Observation], texts: Texts
) -> list[cm.Command]:
    """The commands for observations that are not in the ledger yet, in order.

    Records that carry no fact (the supervisor's own start, the exit before the clean-up) lead to
    none.
    """
    commands = (
        _command(attempt, observation, texts)
        for observation in observations
        if observation.n > attempt.observed
    )
    return [command for command in commands if command is not None]


def _command(attempt: Attempt, observation: ob.Observation, texts: Texts) -> cm.Command | None:
    """The command for one record."""
    match observation:
        case ob.CommandStarted():
            return _started(attempt, observation, texts)
        case ob.Described():
            context = {
                "host": observation.host,
                "interpreter": observation.interpreter,
                "interpreter_version": observation.interpreter_version,
            }
            if observation.limit_missing is not None:
                context["limit_missing"] = observation.limit_missing
            return cm.ReportDescribed(
                run=attempt.run,
                attempt=attempt.id,
                n=observation.n,
                context=texts.add_document(context),
            )
        case ob.OutputSealed():
            return cm.ReportSealed(
                run=attempt.run,
                attempt=attempt.id,
                n=observation.n,
                stream=observation.stream,
                bytes=observation.bytes,
                sha256=observation.sha256,
            )
        case ob.Ended():
            return _ended(attempt, observation, texts)
        case _:
            return None


def _started(attempt: Attempt, seen: ob.CommandStarted, texts: Texts) -> cm.ReportStarted:
    """The start, with git's facts."""
    return cm.ReportStarted(
        run=attempt.run,
        attempt=attempt.id,
        n=seen.n,
        at=seen.at,
        git_head=seen.git_head,
        git_tree=seen.git_tree,
        git_branch=texts.add(seen.git_branch) if seen.git_branch else None,
        git_missing=texts.add(seen.git_missing) if seen.git_missing else None,
    )


def _ended(attempt: Attempt, seen: ob.Ended, texts: Texts) -> cm.ReportEnded:
    """The end, with the last words of the output when it failed."""
    return cm.ReportEnded(
        run=attempt.run,
        attempt=attempt.id,
        n=seen.n,
        at=seen.at,
        cause=(seen.code or "exec_failed") if seen.cause == "refused" else seen.cause,
        code=seen.code,
        exit_code=seen.exit_code,
        signal=seen.signal,
        reason=texts.add(seen.detail) if seen.detail else None,
    )
