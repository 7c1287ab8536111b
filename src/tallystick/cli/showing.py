"""Runs and sweeps as people see them: a table of several, a page about one."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallystick.cli import output

if TYPE_CHECKING:
    from tallystick.wire.views import OutputProgress, RunView, SweepView

WAITING = frozenset({"ready", "queued"})
MOST_SHOWN = 12
"""Metrics on the page of a run; `tally metric show` has all."""


def show_runs(runs: "list[RunView]") -> None:
    """Runs as a table."""
    now = output.now_seconds()
    output.table(
        ("ID", "NAME", "STATUS", ">EXIT", "CREATED", ">TOOK", "REASON"),
        (
            (
                run.id,
                run.name,
                run.status,
                output.exit_words(run.exit_code, run.signal),
                output.ago(run.created_at, now=now),
                output.duration(run.started_at, run.ended_at, now=now),
                why(run),
            )
            for run in runs
        ),
        empty="no runs; register one with: tally run create -- COMMAND",
    )


def why(run: "RunView") -> str:
    """Why a run waits, or why it ended as it did; empty where all is well."""
    if run.status in WAITING and run.pending_reason:
        return run.pending_reason  # before what the last attempt ended with
    return "" if run.outcome == "succeeded" else run.reason or ""


def show_run(run: "RunView") -> None:
    """One run, a line for each fact."""
    git = run.git
    output.facts(
        (
            ("id", run.id),
            ("name", run.name),
            ("status", run.status),
            ("outcome", run.outcome),
            ("reason", run.reason),
            ("exit", output.exit_words(run.exit_code, run.signal)),
            ("queue position", run.queue_position),
            ("waits", run.pending_reason),
            ("command", run.command),
            ("workdir", run.workdir),
            ("params", " ".join(f"{name}={value}" for name, value in run.params.items())),
            ("progress", _progress_words(run.output_progress)),
            ("metrics", _short(run.metrics)),
            ("summary", _short(run.summary)),
            ("claimed", (run.claims.get("status") or {}).get("status")),
            ("tags", " ".join(run.tags)),
            ("starred", "yes" if run.starred else ""),
            ("note", run.note),
            ("sweep", run.sweep_id),
            ("session", run.chat_session_id),
            ("repeats", run.parent_run_id),
            ("not compliant", ", ".join(run.violations)),
            ("created", output.moment_of(run.created_at)),
            ("started", output.moment_of(run.started_at)),
            ("ended", output.moment_of(run.ended_at)),
            ("took", output.duration(run.started_at, run.ended_at)),
            ("git head", git and " ".join(filter(None, (git.head, git.branch)))),
            ("git tree", git and (git.tree or git.missing)),
            ("interpreter", run.interpreter),
            ("python", run.interpreter_version),
            ("directory", run.run_dir),
            ("ledger", f"entry {run.seq}, newest {run.changed_seq}"),
        )
    )


def show_sweep(sweep: "SweepView") -> None:
    """One sweep, a line for each fact."""
    output.facts(
        (
            ("id", sweep.id),
            ("name", sweep.name),
            ("goal", sweep.goal),
            ("status", sweep.status),
            ("waits for", sweep.reason),
            ("progress", output.progress_words(sweep.progress)),
            ("command", sweep.base_command),
            ("parameters", _parameter_words(sweep)),
            ("planned", _plan_words(sweep)),
            ("parallel", sweep.parallel),
            ("session", sweep.chat_session_id),
            ("not compliant", ", ".join(sweep.violations)),
            ("created", output.moment_of(sweep.created_at)),
            ("started", output.moment_of(sweep.started_at)),
            ("completed", output.moment_of(sweep.completed_at)),
            ("ledger", f"entry {sweep.seq}"),
        )
    )


def _parameter_words(sweep: "SweepView") -> str:
    """A line for each parameter, as it was sent."""
    return "\n".join(f"{name} = {json.dumps(given)}" for name, given in sweep.parameters.items())


def _plan_words(sweep: "SweepView") -> str | None:
    if sweep.plan is None:
        return None
    plan = sweep.plan
    cut = "" if plan.count == plan.size else f" of {plan.size:,}"
    seeds = "" if plan.seeds is None else f", seeds {plan.seeds}"
    return f"{plan.count:,}{cut} runs by {plan.strategy}{seeds}; digest {plan.digest}"


def _short(values: Mapping[str, Any]) -> str:
    """Names and values, as many as one look can take."""
    shown = [f"{name}={value}" for name, value in list(values.items())[:MOST_SHOWN]]
    more = len(values) - len(shown)
    return " ".join([*shown, f"and {more} more"] if more > 0 else shown)


def _progress_words(progress: "OutputProgress | None") -> str:
    if progress is None:
        return ""
    left = "" if progress.eta_seconds is None else f", {output.span(progress.eta_seconds)} left"
    return f"{progress.fraction:.0%}{left} {progress.label}".rstrip()
